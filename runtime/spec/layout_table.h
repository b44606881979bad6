// The table of layouts (layouts.def) as data.
#pragma once
#include "runtime/spec/spec.h"

#include <span>

namespace nysjit {

/// Positions whose keys and values a position's scores are made of: those up to itself, up to the
/// end of its own segment (whose landmark they make), all, or the source's and then by segments.
enum class Reach { Itself, OwnSegment, Everything, SourceThenOwnSegment };

struct LayoutRow {
  Layout layout;
  const char *name; // in JSON
  bool hasLandmarks;
  bool iteratesInverse;
  Reach reach;
};

inline constexpr LayoutRow layoutRows[] = {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  {Layout::id, #name, landmarks, inverse, Reach::reach},
#include "runtime/spec/layouts.def"
};
inline constexpr std::span<const LayoutRow> layoutTable() { return layoutRows; }
inline constexpr const LayoutRow &layoutRow(Layout layout) { return layoutRows[size_t(layout)]; }

/// A set of layouts: bit i for row i.
using LayoutSet = unsigned;
constexpr LayoutSet layoutBit(Layout layout) { return 1u << unsigned(layout); }
/// Those of whose rows `holds` is true.
template <typename Predicate> constexpr LayoutSet layoutsWhere(Predicate holds) {
  LayoutSet set = 0;
  for (const LayoutRow &row : layoutRows)
    set |= holds(row) ? layoutBit(row.layout) : 0;
  return set;
}
inline constexpr LayoutSet allLayouts = layoutsWhere([](const LayoutRow &) { return true; });
inline constexpr LayoutSet layoutsWithLandmarks =
    layoutsWhere([](const LayoutRow &row) { return row.hasLandmarks; });
inline constexpr LayoutSet layoutsWithInverse =
    layoutsWhere([](const LayoutRow &row) { return row.iteratesInverse; });

} // namespace nysjit
