// What the CPU does in another way than tile programs say: tile IR into equal tile IR, each rewrite
// in a file and a lit test of its own, in the order in which they run.
#pragma once
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

namespace nysjit::cpu {

/// Sums along columns as sums along rows of the transposed tile.
void transposeColumnSums(mlir::func::FuncOp kernel);
/// Scores of many keys with one tile of queries, and what is computed of them elementwise, by keys
/// instead of by queries. `lanes`: of a vector register, which the tile's sides must be multiples
/// of.
void transposeScores(mlir::func::FuncOp kernel, int64_t lanes);
/// What a loop's dots take transposed and no iteration changes: transposed once, before the loop.
void hoistTransposes(mlir::func::FuncOp kernel);
/// Sums that are rescaled before a product is added: left alone where the factor is 1.
void skipUnitScales(mlir::func::FuncOp kernel);
/// Tiles that are computed anew wherever they are read, such as broadcasts, have no memory that a
/// dot, a transpose or a solve could read: multiplied by one they do. The last that changes tiles:
/// what tiles are made of decides about those before.
void materializeOperands(mlir::func::FuncOp kernel);
/// Scalar arithmetic and views as early as their operands allow, so that addresses are known before
/// the loops that come first.
void hoistScalars(mlir::Block &block);

// What they share.

/// Null for what is no 2-D tile.
inline mlir::RankedTensorType matrixType(mlir::Value value) {
  auto type = llvm::dyn_cast<mlir::RankedTensorType>(value.getType());
  return type && type.getRank() == 2 ? type : mlir::RankedTensorType();
}
/// The type of its transpose.
inline mlir::RankedTensorType transposedType(mlir::RankedTensorType type) {
  return mlir::RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)},
                                     type.getElementType());
}
/// A tile's transpose in float32, made once, where the tile is made; `made` remembers it.
mlir::Value transposeOnce(llvm::DenseMap<mlir::Value, mlir::Value> &made, mlir::Value tile);

} // namespace nysjit::cpu
