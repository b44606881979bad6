// A mask is the comparisons it stands for, of numbers that lie where the masked elements do:
//
//   tile.mask %first below %end from %begin axis 1 : (i32, tensor<16xi32>, i32) -> tensor<16x64xi1>
//
//   %position = %first + tile.iota      of columns (axis 0: of rows)
//   %below = %position < %end           both broadcast to 16x64; <= with `inclusive`
//   %from = %position >= %begin         64 comparisons, broadcast: %begin is the same for all rows
//   %below & %from
//
// A dot may leave out work that its read_where or nonzero_where hides. Here it does all of it, and
// a mask that only says so is not made.
#include "compiler/lowering/gpu/rewrites.h"
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
namespace nysjit::gpu {

/// Erases what makes the value, and what only that needs, if nothing takes it.
static void eraseIfUnused(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !isOpTriviallyDead(op))
    return;
  const SmallVector<Value> operands(op->getOperands());
  op->erase();
  for (Value operand : llvm::SmallSetVector<Value, 4>(operands.begin(), operands.end()))
    eraseIfUnused(operand);
}

static void forgetMasks(tile::DotOp dot) {
  Value readWhere = dot.getReadWhere();
  Value nonzeroWhere = dot.getNonzeroWhere();
  dot.getReadWhereMutable().clear();
  dot.getNonzeroWhereMutable().clear();
  if (readWhere)
    eraseIfUnused(readWhere);
  if (nonzeroWhere && nonzeroWhere != readWhere)
    eraseIfUnused(nonzeroWhere);
}

static void expand(tile::MaskOp mask) {
  OpBuilder b(mask);
  const Location loc = mask.getLoc();
  const RankedTensorType type = mask.getResult().getType();
  const auto along = static_cast<int32_t>(mask.getAxis());
  const auto line = RankedTensorType::get({type.getDimSize(along)}, b.getI32Type());
  const auto whole = RankedTensorType::get(type.getShape(), b.getI32Type());
  Value position = tile::IotaOp::create(b, loc, line);
  if (getConstantIntValue(mask.getFirst()) != 0) {
    Value first = tensor::SplatOp::create(b, loc, mask.getFirst(), line);
    position = arith::AddIOp::create(b, loc, first, position);
  }
  // A number is compared once for all rows (axis 0: columns).
  auto compared = [&](arith::CmpIPredicate predicate, Value limit) -> Value {
    if (!isa<RankedTensorType>(limit.getType())) {
      Value all = tensor::SplatOp::create(b, loc, limit, line);
      Value seen = arith::CmpIOp::create(b, loc, predicate, position, all);
      return tile::BroadcastOp::create(b, loc, type, seen, along);
    }
    Value positions = tile::BroadcastOp::create(b, loc, whole, position, along);
    Value each = tile::BroadcastOp::create(b, loc, whole, limit, 1 - along);
    return arith::CmpIOp::create(b, loc, predicate, positions, each);
  };
  const auto below = mask.getInclusive() ? arith::CmpIPredicate::sle : arith::CmpIPredicate::slt;
  Value seen = compared(below, mask.getEnd());
  if (Value begin = mask.getBegin()) {
    Value hasBegun = compared(arith::CmpIPredicate::sge, begin);
    seen = arith::AndIOp::create(b, loc, seen, hasBegun);
  }
  mask.replaceAllUsesWith(seen);
  mask.erase();
}

bool expandMasks(func::FuncOp kernel) {
  SmallVector<tile::DotOp> dots;
  kernel.walk([&](tile::DotOp dot) { dots.push_back(dot); });
  for (tile::DotOp dot : dots)
    forgetMasks(dot);
  SmallVector<tile::MaskOp> masks;
  kernel.walk([&](tile::MaskOp mask) { masks.push_back(mask); });
  for (tile::MaskOp mask : masks)
    expand(mask);
  return !masks.empty();
}

} // namespace nysjit::gpu
