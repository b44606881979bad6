// The key table of KernelSpec as data: one row a key. Everything that knows keys by name reads it.
// Rows stand in the order they are read: what a row's condition or bound asks for stands above it.
#pragma once
#include "runtime/base/json.h"
#include "runtime/spec/layout_table.h"

#include <span>

namespace nysjit {

enum class ValueType { Integer, Number, Choice };

/// What beside the layout decides that a key is used.
enum class Condition { None, NotStreaming, SegmentMeans, FromFirstK, Probes, Dyadic, Float32 };
/// A bound that another key gives.
enum class Relation { None, AtMostLandmarks, MultipleOfLandmarks };

struct KeyRow {
  const char *name;
  ValueType type;
  LayoutSet layouts;
  Condition condition = Condition::None;
  bool isNeeded = false;
  LayoutSet optionalIn = 0;             // where it has its default all the same
  Condition neededIf = Condition::None; // needed where that holds, else optional
  // Integer and Number: the range, ends included.
  double minimum = 0;
  double maximum = 0;
  double maximumWithInverse = 0; // not 0: the maximum where a matrix inverse is iterated
  double maximumIfDyadic = 0;    // not 0: the maximum where blocks grow with distance
  int multipleOf = 1;
  Relation relation = Relation::None;
  // Choice: the names; a value is stored as its index, the enum's value.
  std::span<const char *const> choices = {};
  std::span<const LayoutSet> choiceLayouts = {}; // in which layouts each may stand; empty: in all
  // For docs/spec.md: a sentence, and what holds where the key is absent and has no value then.
  const char *meaning = "";
  const char *absent = nullptr;
  // How KernelSpec holds it. `set` is given a value that passed the row's checks; `get` gives null
  // where it is absent.
  void (*set)(KernelSpec &, const Json &) = nullptr;
  Json (*get)(const KernelSpec &) = nullptr;
};

std::span<const KeyRow> keyTable();

/// Does the row apply to this spec, of which everything above the row is set?
bool usesKey(const KeyRow &row, const KernelSpec &spec);
/// Must a spec that uses the row give it?
bool isNeeded(const KeyRow &row, const KernelSpec &spec);
/// May the row's choice `index` stand in this layout?
bool hasChoice(const KeyRow &row, size_t index, Layout layout);
/// The largest value of a number, of what stands above the row.
double maximumOf(const KeyRow &row, const KernelSpec &spec);
/// In which layouts Newton-Schulz iterates over a landmarks x landmarks matrix.
bool iteratesInverse(Layout layout);
/// "an integer, 16 to 256, multiple of 8", with the bounds that hold for this spec.
std::string expectedValue(const KeyRow &row, const KernelSpec &spec);
/// "unless landmark_value is streaming", what the row's condition asks for beside the layout; "" if
/// nothing.
const char *conditionText(Condition condition);
/// Why the row does not apply: "layout exact_causal", "landmark_value streaming".
std::string reasonUnused(const KeyRow &row, const KernelSpec &spec);

} // namespace nysjit
