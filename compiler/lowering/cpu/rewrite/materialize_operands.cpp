//   %b = tile.broadcast %x axis 0
//   %y = tile.dot %b, %c
// becomes
//   %m = arith.mulf (tile.broadcast %x axis 0), 1
//   %y = tile.dot %m, %c
#include "compiler/lowering/cpu/rewrite/rewrites.h"
#include "compiler/lowering/cpu/schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
namespace nysjit::cpu {

void materializeOperands(func::FuncOp kernel) {
  kernel.walk([](Operation *op) {
    if (!isa<tile::DotOp, tile::TransposeOp, tile::TriangularSolveOp, tile::CumulativeSumOp>(op))
      return;
    auto dot = dyn_cast<tile::DotOp>(op);
    for (OpOperand &operand : op->getOpOperands()) {
      Operation *maker = Schedule::strip(operand.get()).getDefiningOp();
      if (!maker || !Schedule::isLazy(maker))
        continue;
      if (dot && operand.get() != dot.getA() && operand.get() != dot.getB())
        continue; // what is added to, and masks
      OpBuilder b(op);
      const RankedTensorType type = matrixType(operand.get());
      const auto ones = SplatElementsAttr::get(type, b.getFloatAttr(type.getElementType(), 1));
      Value one = arith::ConstantOp::create(b, op->getLoc(), ones);
      operand.set(arith::MulFOp::create(b, op->getLoc(), operand.get(), one));
    }
  });
}

} // namespace nysjit::cpu
