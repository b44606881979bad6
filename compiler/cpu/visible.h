// What a masked tile hides: columns that no later value depends on, found from the comparisons that made the mask.
//
//   %s = tile.dot %q, %k                          columns of %s from end on are read by nothing
//   %x = arith.select (%t < %end), %s, -infinity  %t: a number a column, %end: one a row
//   %p = math.exp2 (%x - %max)                    columns of %p from end on are 0
//   %o = tile.dot %p, %v                          steps from end on add nothing
#pragma once
#include "compiler/dialect/Tile.h"

#include <optional>

namespace nysjit::cpu {

/// Row r shows columns below `of`[r] - `first` (+ 1 if `isInclusive`). `of` is a 1-D integer tile over the rows or a number;
/// `first`, the number of column 0, a number, or null: 0.
struct VisibleEnd {
  mlir::Value of, first;
  bool isInclusive = false;
};

/// Whether a constant or a splat of one made this tile of floats, all of them `number`.
bool isAllOf(mlir::Value tile, double number);
/// Of a dot's result: columns beyond are read by nothing.
std::optional<VisibleEnd> readColumns(mlir::Value result);
/// Of a tile: elements beyond are 0 (or NaN, in a row that is NaN before, too).
std::optional<VisibleEnd> nonzeroColumns(mlir::Value tile);

} // namespace nysjit::cpu
