//   scf.for { %s = tile.dot %a, %b {transpose_b} }          %b made before the loop
// becomes
//   %t = tile.transpose %b
//   scf.for { %s = tile.dot %a, %t }
#include "compiler/lowering/cpu/rewrite/rewrites.h"

#include "mlir/Interfaces/LoopLikeInterface.h"

using namespace mlir;
namespace nysjit::cpu {

Value transposeOnce(llvm::DenseMap<Value, Value> &made, Value tile) {
  Value &transposed = made[tile];
  if (!transposed) {
    OpBuilder b(tile.getContext());
    b.setInsertionPointAfter(tile.getDefiningOp());
    const auto type =
        RankedTensorType::get(transposedType(matrixType(tile)).getShape(), b.getF32Type());
    transposed = tile::TransposeOp::create(b, tile.getLoc(), type, tile);
  }
  return transposed;
}

void hoistTransposes(func::FuncOp kernel) {
  llvm::DenseMap<Value, Value> made;
  kernel.walk([&](tile::DotOp dot) {
    Value b = dot.getB();
    auto loop = dot->getParentOfType<LoopLikeOpInterface>();
    if (!dot.getTransposeB() || !loop || !b.getDefiningOp() || loop->isAncestor(b.getDefiningOp()))
      return;
    dot.getBMutable().assign(transposeOnce(made, b));
    dot.setTransposeB(false);
  });
}

} // namespace nysjit::cpu
