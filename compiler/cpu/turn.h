// Turns the tiles between two dots over, so that a loop that meets one tile of queries with many of keys
//
//   for keys k, values v:  %s = tile.dot %q, %k {transpose_b}     [queries, keys]; %k is transposed each time
//                          ... elementwise, reduced over keys ...
//                          %o = tile.dot %p, %v
// becomes
//   %qt = tile.transpose %q                                        once, before the loop
//   for keys k, values v:  %s = tile.dot %k, %qt                   [keys, queries]
//                          ... the same, reduced over rows ...     a query a lane: no sums across lanes
//                          %o = tile.dot %p, %v {transpose_a}
#pragma once
#include "compiler/dialect/Tile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit::cpu {

/// Turns every such dot's result, and what is computed from it elementwise, if nothing but reductions and dots' `a` reads it.
/// `lanes`: of a vector register, which the tile's sides must be multiples of.
void turnSoftmaxes(mlir::func::FuncOp kernel, int64_t lanes);

} // namespace nysjit::cpu
