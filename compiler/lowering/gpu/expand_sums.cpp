// A cumulative sum is a product with the lower triangle of ones, at full precision:
//
//   tile.cumulative_sum %x axis 0      tile.dot %triangle, %x {full}
//   tile.cumulative_sum %x axis 1      tile.dot %x, %triangle {transpose_b, full}
//
// with triangle(i, j) = 1 where j <= i, else 0. Along axis 0 the triangle's zeros are skipped: a
// row that is not finite is not seen by those before it. Along axis 1 it makes NaNs of the others.
#include "compiler/lowering/gpu/rewrites.h"
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
namespace nysjit::gpu {

static Value triangleOfOnes(OpBuilder &b, Location loc, int64_t size) {
  const auto line = RankedTensorType::get({size}, b.getI32Type());
  const auto numbers = RankedTensorType::get({size, size}, b.getI32Type());
  const auto type = RankedTensorType::get({size, size}, b.getF32Type());
  Value iota = tile::IotaOp::create(b, loc, line);
  Value column = tile::BroadcastOp::create(b, loc, numbers, iota, 1);
  Value row = tile::BroadcastOp::create(b, loc, numbers, iota, 0);
  Value isBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, column, row);
  auto all = [&](float number) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, number));
  };
  Value one = all(1);
  Value zero = all(0);
  return arith::SelectOp::create(b, loc, isBelow, one, zero);
}

bool expandSums(func::FuncOp kernel) {
  SmallVector<tile::CumulativeSumOp> sums;
  kernel.walk([&](tile::CumulativeSumOp sum) { sums.push_back(sum); });
  for (tile::CumulativeSumOp sum : sums) {
    OpBuilder b(sum);
    const RankedTensorType type = sum.getValue().getType();
    const bool isAlongRow = sum.getAxis() == 1;
    Value triangle = triangleOfOnes(b, sum.getLoc(), type.getDimSize(sum.getAxis()));
    Value product = tile::DotOp::create(
        b, sum.getLoc(), type, isAlongRow ? sum.getValue() : triangle,
        isAlongRow ? triangle : sum.getValue(), /*accumulator=*/Value(), /*read_where=*/Value(),
        /*nonzero_where=*/Value(), /*transpose_a=*/false, /*transpose_b=*/isAlongRow,
        /*skips_zeros=*/!isAlongRow, tile::Precision::Full);
    sum.replaceAllUsesWith(product);
    sum.erase();
  }
  return !sums.empty();
}

} // namespace nysjit::gpu
