// A mask is the comparisons it stands for, of numbers that lie where the masked elements do:
//
//   tile.mask %first below %end from %begin axis 1 : (i32, tensor<16xi32>, i32) -> tensor<16x64xi1>
//
//   %position = %first + tile.iota            columns (axis 0: rows)
//   %below = %position < %end                 both broadcast to 16x64; <= with `inclusive`
//   %from = %position >= %begin
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
  const int32_t axis = mask.getAxis();
  const auto line = RankedTensorType::get({type.getDimSize(axis)}, b.getI32Type());
  const auto whole = RankedTensorType::get(type.getShape(), b.getI32Type());
  Value position = tile::IotaOp::create(b, loc, line);
  if (getConstantIntValue(mask.getFirst()) != 0) {
    Value first = tensor::SplatOp::create(b, loc, mask.getFirst(), line);
    position = arith::AddIOp::create(b, loc, first, position);
  }
  // An axis-1 mask's positions vary over columns, which is a broadcast along axis 1.
  position = tile::BroadcastOp::create(b, loc, whole, position, axis);
  auto compared = [&](arith::CmpIPredicate predicate, Value limit) -> Value {
    Value each = isa<RankedTensorType>(limit.getType())
                     ? Value(tile::BroadcastOp::create(b, loc, whole, limit, 1 - axis))
                     : Value(tensor::SplatOp::create(b, loc, limit, whole));
    return arith::CmpIOp::create(b, loc, predicate, position, each);
  };
  Value seen = compared(mask.getInclusive() ? arith::CmpIPredicate::sle : arith::CmpIPredicate::slt,
                        mask.getEnd());
  if (mask.getBegin())
    seen =
        arith::AndIOp::create(b, loc, seen, compared(arith::CmpIPredicate::sge, mask.getBegin()));
  mask.replaceAllUsesWith(seen);
  mask.erase();
}

void expandMasks(func::FuncOp kernel) {
  SmallVector<tile::DotOp> dots;
  kernel.walk([&](tile::DotOp dot) { dots.push_back(dot); });
  for (tile::DotOp dot : dots)
    forgetMasks(dot);
  SmallVector<tile::MaskOp> masks;
  kernel.walk([&](tile::MaskOp mask) { masks.push_back(mask); });
  for (tile::MaskOp mask : masks)
    expand(mask);
}

} // namespace nysjit::gpu
