// Matches masks of the form (columns < rows) & ..., as templates write them.
#include "compiler/lowering/cpu/visible.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::cpu {

namespace {

/// The number that all elements of an integer tile are, if a splat made it.
Value splatted(Value tile) {
  auto splat = tile.getDefiningOp<tensor::SplatOp>();
  return splat ? splat.getInput() : Value();
}

Value alongAxis(Value tile, int axis) {
  auto broadcast = tile.getDefiningOp<tile::BroadcastOp>();
  return broadcast && int(broadcast.getAxis()) == axis ? broadcast.getValue() : Value();
}

/// first + iota: sets `first`, null for iota alone.
bool isCounting(Value tile, Value &first) {
  if (!tile)
    return false;
  if (tile.getDefiningOp<tile::IotaOp>()) {
    first = Value();
    return true;
  }
  auto sum = tile.getDefiningOp<arith::AddIOp>();
  if (!sum)
    return false;
  for (auto [start, count] :
       {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())})
    if (count.getDefiningOp<tile::IotaOp>() && (first = splatted(start)))
      return true;
  return false;
}

std::optional<VisibleEnd> endOfMask(Value mask, int axis) {
  if (auto both = mask.getDefiningOp<arith::AndIOp>()) {
    std::optional<VisibleEnd> end = endOfMask(both.getLhs(), axis);
    return end ? end : endOfMask(both.getRhs(), axis);
  }
  auto compare = mask.getDefiningOp<arith::CmpIOp>();
  if (!compare || (compare.getPredicate() != arith::CmpIPredicate::slt &&
                   compare.getPredicate() != arith::CmpIPredicate::sle))
    return std::nullopt;
  VisibleEnd end;
  end.isInclusive = compare.getPredicate() == arith::CmpIPredicate::sle;
  if (!isCounting(alongAxis(compare.getLhs(), axis), end.first))
    return std::nullopt;
  end.of = alongAxis(compare.getRhs(), 1 - axis);
  if (!end.of)
    end.of = splatted(compare.getRhs());
  return end.of ? std::optional(end) : std::nullopt;
}

bool isSame(const VisibleEnd &a, const VisibleEnd &b) {
  return a.of == b.of && a.first == b.first && a.isInclusive == b.isInclusive;
}

} // namespace

bool isAllOf(Value tile, double number) {
  DenseElementsAttr elements;
  auto constant = tile.getDefiningOp<arith::ConstantOp>();
  if (constant && (elements = dyn_cast<DenseElementsAttr>(constant.getValue())) &&
      elements.isSplat())
    return elements.getSplatValue<APFloat>().convertToDouble() == number;
  Value input = splatted(tile);
  auto scalar = input ? input.getDefiningOp<arith::ConstantOp>() : arith::ConstantOp();
  auto value = scalar ? dyn_cast<FloatAttr>(scalar.getValue()) : FloatAttr();
  return value && value.getValueAsDouble() == number;
}

bool isLowerTriangleOfOnes(Value tile) {
  auto select = tile.getDefiningOp<arith::SelectOp>();
  if (!select || !isAllOf(select.getTrueValue(), 1) || !isAllOf(select.getFalseValue(), 0) ||
      !select.getCondition().getDefiningOp<arith::CmpIOp>())
    return false;
  const std::optional<VisibleEnd> end = endOfMask(select.getCondition(), 1);
  return end && end->isInclusive && !end->first && end->of.getDefiningOp<tile::IotaOp>();
}

std::optional<VisibleEnd> readAlong(Value result, int axis) {
  std::optional<VisibleEnd> end;
  for (OpOperand &use : result.getUses()) {
    std::optional<VisibleEnd> found;
    Operation *user = use.getOwner();
    if (auto select = dyn_cast<arith::SelectOp>(user); select && use.getOperandNumber() == 1)
      found = endOfMask(select.getCondition(), axis);
    else if (isa<arith::MulFOp, arith::AddFOp, arith::SubFOp>(user))
      found = readAlong(user->getResult(0), axis);
    if (!found || (end && !isSame(*end, *found)))
      return std::nullopt;
    end = found;
  }
  return end;
}

std::optional<VisibleEnd> nonzeroAlong(Value tile, int axis) {
  if (auto select = tile.getDefiningOp<arith::SelectOp>();
      select && isAllOf(select.getFalseValue(), 0))
    return endOfMask(select.getCondition(), axis);
  auto power = tile.getDefiningOp<math::Exp2Op>();
  if (!power)
    return std::nullopt;
  Value logits = power.getOperand();
  if (auto difference = logits.getDefiningOp<arith::SubFOp>())
    logits = difference.getLhs();
  auto select = logits.getDefiningOp<arith::SelectOp>();
  return select && isAllOf(select.getFalseValue(), -__builtin_inf())
             ? endOfMask(select.getCondition(), axis)
             : std::nullopt;
}

} // namespace nysjit::cpu
