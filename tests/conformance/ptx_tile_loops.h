// Loops over tiles of positions, and how often they turn.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// for (i = begin; i < end; i = i + step), as LLVM writes it: "i >= end" decides at the top, and
/// a copy of "i + step" ends a turn.
struct TileLoop {
  size_t top;   // the label
  size_t test;  // i >= end
  size_t begin; // what writes i before the first turn
  size_t latch; // mov i, following
  size_t end;   // what writes the end
  std::string following;
  uint32_t step;
  std::set<size_t> lines;
  std::set<size_t> early; // those of a turn that may run before it computes what follows
};

/// The lines that control may go to from `line`.
std::vector<size_t> waysFrom(const PtxText &ptx, size_t line);

/// The loop that `test` decides, if it is one.
std::optional<TileLoop> loopAt(const PtxText &ptx, size_t test);

/// The most turns that the loop has, if it follows from tiles of 32 rows and the length, which all
/// heads of a sequence have, and is at most 2. Computed for tiles near and far, and every length
/// that ends within a few tiles of them: others are the same, tiles further on.
std::optional<uint32_t> turnsOf(const PtxText &ptx, const TileLoop &loop,
                                const ProgramFacts &facts);

} // namespace nysjit::conformance
