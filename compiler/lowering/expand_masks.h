// Masks as comparisons, where they are read as tiles:
//
//   %m = tile.mask %first below %end axis 1
//   %x = arith.select %m, %s, %none
// becomes
//   %j = tile.broadcast (tensor.splat %first + tile.iota) axis 1
//   %x = arith.select (arith.cmpi slt, %j, tile.broadcast %end axis 0), %s, %none
//
// What a dot is told by a mask stays.
#pragma once
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit {

/// Whether there were some.
bool expandMasks(mlir::func::FuncOp kernel);
/// Whether zeros of the dot's left operand hide its right one, once masks are forgotten.
bool skipsZeros(tile::DotOp dot);
/// For a lowering that leaves nothing out: dots forget what masks hide of them, all but
/// skips_zeros.
void forgetDotMasks(mlir::func::FuncOp kernel);

} // namespace nysjit
