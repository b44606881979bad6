//   %scaled = arith.mulf %sum, (tile.broadcast %factor axis 0)
//   %next = tile.dot %p, %v, %scaled
// becomes
//   %scaled = tile.scale_rows %sum, %factor
//   %next = tile.dot %p, %v, %scaled
//
// A running sum is rescaled where its maximum moved, which it seldom does. Only for what a product
// is added to: other scaled tiles seldom have factors of 1.
#include "compiler/lowering/cpu/rewrite/rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
namespace nysjit::cpu {

static bool isAccumulator(Value value) {
  if (!value.hasOneUse())
    return false;
  auto dot = dyn_cast<tile::DotOp>(*value.getUsers().begin());
  return dot && dot.getAccumulator() == value && dot.getA() != value && dot.getB() != value;
}

void skipUnitScales(func::FuncOp kernel) {
  kernel.walk([](arith::MulFOp scaling) {
    auto factors = scaling.getRhs().getDefiningOp<tile::BroadcastOp>();
    if (!matrixType(scaling.getResult()) || !factors || factors.getAxis() != 0 ||
        !isAccumulator(scaling.getResult()))
      return;
    OpBuilder b(scaling);
    Value scaled = tile::ScaleRowsOp::create(b, scaling.getLoc(), scaling.getResult().getType(),
                                             scaling.getLhs(), factors.getValue());
    scaling.getResult().replaceAllUsesWith(scaled);
    scaling.erase();
  });
}

} // namespace nysjit::cpu
