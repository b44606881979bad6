// What the CPU does in another way than tile programs say.
//
// A product with a triangle of ones sums rows: tile.prefix_sum, in the loop over rows of what comes
// before and after.
//
// Tiles between two dots are turned over, so that a loop that meets one tile of queries with many
// of keys
//
//   for keys k, values v:  %s = tile.dot %q, %k {transpose_b} [queries, keys]; %k is transposed
//                          each time
//                          ... elementwise, reduced over keys ...
//                          %o = tile.dot %p, %v
// becomes
//   %qt = tile.transpose %q                                        once, before the loop
//   for keys k, values v:  %s = tile.dot %k, %qt                   [keys, queries]
//                          ... the same, reduced over rows ...     a query a lane: no sums across
//                                                                  lanes
//                          %o = tile.dot %p, %v {transpose_a}
// and so that a tile that the program transposes, %s = tile.transpose %x, is %x itself in what
// follows.
//
// What a loop's dots take transposed, but do not load in it, is transposed once, before the loop.
#pragma once
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit::cpu {

/// Tiles that are computed anew wherever they are read, such as broadcasts, have no memory that a
/// dot, a transpose or a solve could read: multiplied by one they do. Templates have none such.
void makeOperands(mlir::func::FuncOp kernel);
/// Products with a triangle of ones as sums of rows.
void sumRows(mlir::func::FuncOp kernel);
/// The operands of dots in loops that no iteration changes.
void transposeOnce(mlir::func::FuncOp kernel);
/// Turns the result of every such dot and transpose, and what is computed from it elementwise, if
/// nothing but reductions and dots' `a` reads it. `lanes`: of a vector register, which the tile's
/// sides must be multiples of.
void turnSoftmaxes(mlir::func::FuncOp kernel, int64_t lanes);

} // namespace nysjit::cpu
