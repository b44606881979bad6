//   %y = tile.cumulative_sum %x axis 1
// becomes
//   %t = tile.transpose %x
//   %s = tile.cumulative_sum %t axis 0        a sum that the loop over rows carries
//   %y = tile.transpose %s
#include "compiler/lowering/cpu/rewrite/rewrites.h"

using namespace mlir;
namespace nysjit::cpu {

void transposeColumnSums(func::FuncOp kernel) {
  kernel.walk([](tile::CumulativeSumOp sum) {
    if (sum.getAxis() == 0)
      return;
    OpBuilder b(sum);
    const Location loc = sum.getLoc();
    const RankedTensorType type = sum.getValue().getType();
    const RankedTensorType across = transposedType(type);
    Value transposed = tile::TransposeOp::create(b, loc, across, sum.getValue());
    Value sums = tile::CumulativeSumOp::create(b, loc, across, transposed, 0);
    Value result = tile::TransposeOp::create(b, loc, type, sums);
    sum.getResult().replaceAllUsesWith(result);
    sum.erase();
  });
}

} // namespace nysjit::cpu
