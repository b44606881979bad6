// Each mask once, where it stands.
#include "compiler/lowering/expand_masks.h"
#include "compiler/tile/dialect/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
namespace nysjit {

/// first + 0, 1, ... against one of the mask's limits.
static Value compare(tile::MaskOp mask, Value limit, arith::CmpIPredicate predicate) {
  OpBuilder b(mask);
  const Location loc = mask.getLoc();
  const int axis = static_cast<int>(mask.getAxis());
  const RankedTensorType type = mask.getResult().getType();
  const auto line = RankedTensorType::get({type.getDimSize(axis)}, b.getI32Type());
  const auto whole = RankedTensorType::get(type.getShape(), b.getI32Type());
  Value count = tile::IotaOp::create(b, loc, line);
  Value positions = count;
  if (getConstantIntValue(mask.getFirst()) != 0) {
    Value start = tensor::SplatOp::create(b, loc, mask.getFirst(), line);
    positions = arith::AddIOp::create(b, loc, start, count);
  }
  if (!isa<RankedTensorType>(limit.getType())) {
    Value limits = tensor::SplatOp::create(b, loc, limit, line);
    Value bits = arith::CmpIOp::create(b, loc, predicate, positions, limits);
    return tile::BroadcastOp::create(b, loc, type, bits, axis);
  }
  Value left = tile::BroadcastOp::create(b, loc, whole, positions, axis);
  Value right = tile::BroadcastOp::create(b, loc, whole, limit, 1 - axis);
  return arith::CmpIOp::create(b, loc, predicate, left, right);
}

bool skipsZeros(tile::DotOp dot) {
  Operation *a = dot.getA().getDefiningOp();
  const bool isComputed = !isa_and_nonnull<tile::LoadOp, tile::GatherOp>(a);
  return dot.getSkipsZeros() ||
         (dot.getNonzeroWhere() && isComputed && !dot.getTransposeA() && !dot.getTransposeB());
}

void forgetDotMasks(func::FuncOp kernel) {
  kernel.walk([](tile::DotOp dot) {
    dot.getReadWhereMutable().clear();
    dot.setSkipsZeros(skipsZeros(dot));
    dot.getNonzeroWhereMutable().clear();
  });
}

bool expandMasks(func::FuncOp kernel) {
  bool hasMasks = false;
  auto isRead = [](OpOperand &use) { return !isa<tile::DotOp>(use.getOwner()); };
  kernel.walk([&](tile::MaskOp mask) {
    if (llvm::any_of(mask->getUses(), isRead)) {
      hasMasks = true;
      const auto before =
          mask.getInclusive() ? arith::CmpIPredicate::sle : arith::CmpIPredicate::slt;
      Value bits = compare(mask, mask.getEnd(), before);
      if (Value begin = mask.getBegin()) {
        Value after = compare(mask, begin, arith::CmpIPredicate::sge);
        OpBuilder b(mask);
        bits = arith::AndIOp::create(b, mask.getLoc(), bits, after);
      }
      mask.getResult().replaceUsesWithIf(bits, isRead);
    }
    if (mask->use_empty())
      mask.erase();
  });
  return hasMasks;
}

} // namespace nysjit
