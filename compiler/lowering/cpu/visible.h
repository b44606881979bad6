// What a masked tile hides: columns that no later value depends on, found from the comparisons that
// made the mask.
//
//   %s = tile.dot %q, %k                          columns of %s from end on are read by nothing
//   %x = arith.select (%t < %end), %s, -infinity  %t: a number a column, %end: one a row
//   %p = math.exp2 (%x - %max)                    columns of %p from end on are 0
//   %o = tile.dot %p, %v                          steps from end on add nothing
//
// In turned tiles (see rewrite.h) the same of rows: `axis` is that along which the mask counts, 1
// for columns.
#pragma once
#include "compiler/tile/dialect/Tile.h"

#include <optional>

namespace nysjit::cpu {

/// Row r shows columns (column r rows) below `of`[r] - `first` (+ 1 if `isInclusive`). `of` is a
/// 1-D integer tile along the other axis or a number; `first`, the number of column (row) 0, a
/// number, or null: 0.
struct VisibleEnd {
  mlir::Value of;
  mlir::Value first;
  bool isInclusive = false;
};

/// Whether a constant or a splat of one made this tile of floats, all of them `number`.
bool isAllOf(mlir::Value tile, double number);
/// Whether row i has ones up to column i, and zeros.
bool isLowerTriangleOfOnes(mlir::Value tile);
/// Of a dot's result: what lies beyond is read by nothing.
std::optional<VisibleEnd> readAlong(mlir::Value result, int axis);
/// Of a tile: elements beyond are 0 (or NaN, in a row that is NaN before, too).
std::optional<VisibleEnd> nonzeroAlong(mlir::Value tile, int axis);

} // namespace nysjit::cpu
