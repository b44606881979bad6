// A tile.dot as a Dot: where its operands, its accumulator and its result lie, what its masks leave
// of it, and what comes into the cache meanwhile.
#include "compiler/lowering/cpu/kernel_emitter.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::cpu {

/// Where a float32 tile lies, and the bytes from row to row.
std::pair<Value, Value> KernelEmitter::addressOf(Value tile) {
  auto load = tile.getDefiningOp<tile::LoadOp>();
  const int64_t rows = tileType(tile).getDimSize(0);
  const int64_t columns = tileType(tile).getDimSize(1);
  if (!Schedule::isReadInPlace(load))
    return {slotAddress(tile), e.i64(columns * 4)};
  const Ahead inMemory = tileOf(load.getView(), load.getRow(), rows, false);
  return {inMemory.address, inMemory.rowBytes};
}

/// Whether all of a tile is 0: nothing to add to.
static bool isZero(Value tile) {
  auto isZeroNumber = [](Attribute number) {
    auto value = dyn_cast_or_null<FloatAttr>(number);
    return value && value.getValueAsDouble() == 0;
  };
  Operation *op = tile.getDefiningOp();
  if (auto splat = dyn_cast_or_null<tensor::SplatOp>(op))
    op = splat.getInput().getDefiningOp();
  auto constant = dyn_cast_or_null<arith::ConstantOp>(op);
  if (!constant)
    return false;
  if (auto elements = dyn_cast<SplatElementsAttr>(constant.getValue()))
    return isZeroNumber(elements.getSplatValue<Attribute>());
  return isZeroNumber(constant.getValue());
}

/// Null if it is none, or null.
static tile::MaskOp maskOf(Value masked) {
  return masked ? masked.getDefiningOp<tile::MaskOp>() : tile::MaskOp();
}

void KernelEmitter::emitDotStep(tile::DotOp dot) {
  tile::StoreOp inMemory = Schedule::sumInMemory(dot);
  if (!inMemory && !schedule.slot(dot.getResult()))
    return; // nothing reads it
  const RankedTensorType result = dot.getResult().getType();
  const int64_t m = result.getDimSize(0);
  const int64_t n = result.getDimSize(1);
  const int64_t k = dot.getA().getType().getDimSize(!dot.getTransposeA());
  Dot product{.m = m, .n = n, .k = k};
  if (dot.getTransposeB()) {
    product.b = e.offset(e.scratch, schedule.transposeSlot(dot));
    const auto [from, rowBytes] = addressOf(dot.getB());
    emitTranspose(e, from, rowBytes, product.b, n, k);
  } else {
    product.b = slotAddress(dot.getB());
    if (auto load = dot.getB().getDefiningOp<tile::LoadOp>();
        Schedule::isReadWhereContiguous(load)) {
      Value inMemory = tileOf(load.getView(), load.getRow(), k, false).address;
      product.b =
          arith::SelectOp::create(e.builder, e.loc, isContiguous(load), inMemory, product.b);
    }
  }
  std::tie(product.a, product.aRowBytes) = addressOf(dot.getA());
  product.aStepBytes = 4;
  if (dot.getTransposeA()) {
    product.aRowBytes = e.i64(4);
    product.aStepBytes = m * 4;
  }
  if (inMemory) {
    product.c = tileOf(inMemory.getView(), inMemory.getRow(), m, true).address;
    product.from = product.c;
  } else {
    if (dot.getAccumulator() && !isZero(dot.getAccumulator()))
      product.from = slotAddress(dot.getAccumulator());
    product.c = slotAddress(dot.getResult());
  }
  product.columnEnd = endOf(dot.getReadWhere(), 1, n);
  product.rowEnd = endOf(dot.getReadWhere(), 0, m);
  product.hasOneRowEnd = product.rowEnd && !tileType(maskOf(dot.getReadWhere()).getEnd());
  product.steps = stepsOf(dot.getNonzeroWhere(), dot.getTransposeA() ? 0 : 1, k);
  product.ahead = nextTile(dot.getB());
  if (!product.ahead.rows)
    product.ahead = nextTile(dot.getA());
  if (!product.ahead.rows && !product.columnEnd && !product.rowEnd && !product.steps &&
      !nextIteration.empty())
    product.ahead = nextIteration.pop_back_val();
  if (product.columnEnd || product.steps)
    for (int i = 0; i < 2 && !nextAround.empty(); ++i)
      product.aheadOfTiles.push_back(nextAround.pop_back_val());
  emitDot(e, product);
}

/// Whether what a number or an integer tile is computed from has been emitted: a mask may be made
/// after the dot that it hides.
bool KernelEmitter::isKnown(Value value) {
  if (!tileType(value))
    return scalars.contains(value);
  Operation *op = value.getDefiningOp();
  return op && Schedule::isLazy(op) &&
         llvm::all_of(op->getOperands(), [&](Value operand) { return isKnown(operand); });
}

std::pair<Value, Value> KernelEmitter::extremes(Value limit, Value i, int64_t rows) {
  if (!tileType(limit))
    return {scalars.lookup(limit), scalars.lookup(limit)};
  Value least;
  Value largest;
  for (int64_t r = 0; r < rows; ++r) {
    enterRow(e.add(i, e.i64(r)));
    Value one = rowValue(limit)[0];
    least = r ? arith::MinSIOp::create(e.builder, e.loc, least, one) : one;
    largest = r ? arith::MaxSIOp::create(e.builder, e.loc, largest, one) : one;
  }
  return {least, largest};
}

/// A position as a number of steps or columns from the mask's first on, 0 to count, as i64.
static Value stepTo(VectorBuilder &e, Value position, Value first, bool isInclusive,
                    int64_t count) {
  OpBuilder &b = e.builder;
  Value step = arith::SubIOp::create(b, e.loc, position, first);
  if (isInclusive)
    step = e.add(step, e.i32(1));
  Value fromZero = arith::MaxSIOp::create(b, e.loc, step, e.i32(0));
  Value clamped = arith::MinSIOp::create(b, e.loc, fromZero, e.i32(count));
  return arith::ExtSIOp::create(b, e.loc, b.getI64Type(), clamped);
}

std::function<Value(Value, int64_t)> KernelEmitter::endOf(Value masked, int axis, int64_t count) {
  tile::MaskOp mask = maskOf(masked);
  if (!mask || int(mask.getAxis()) != axis || !isKnown(mask.getEnd()))
    return nullptr;
  return [this, mask, count](Value i, int64_t rows) mutable {
    return stepTo(e, extremes(mask.getEnd(), i, rows).second, scalars.lookup(mask.getFirst()),
                  mask.getInclusive(), count);
  };
}

std::function<Dot::Steps(Value, int64_t)> KernelEmitter::stepsOf(Value masked, int axis,
                                                                 int64_t count) {
  if (!masked)
    return nullptr;
  tile::MaskOp mask = maskOf(masked);
  const bool isAlong = mask && int(mask.getAxis()) == axis && isKnown(mask.getEnd()) &&
                       (!mask.getBegin() || isKnown(mask.getBegin()));
  return [this, mask, count, isAlong](Value i, int64_t rows) mutable {
    if (!isAlong) // each step some rows may not need
      return Dot::Steps{Value(), Value(), e.i64(0), e.i64(count)};
    Value first = scalars.lookup(mask.getFirst());
    auto [least, largest] = extremes(mask.getEnd(), i, rows);
    Value end = stepTo(e, largest, first, mask.getInclusive(), count);
    Value allEnd = least == largest ? end : stepTo(e, least, first, mask.getInclusive(), count);
    Dot::Steps steps{Value(), Value(), allEnd, end};
    if (Value limit = mask.getBegin()) {
      auto [begin, largestBegin] = extremes(limit, i, rows);
      steps.begin = stepTo(e, begin, first, false, count);
      steps.allBegin = stepTo(e, largestBegin, first, false, count);
      steps.allEnd = arith::MaxSIOp::create(e.builder, e.loc, steps.allEnd, steps.allBegin);
      steps.end = arith::MaxSIOp::create(e.builder, e.loc, steps.end, steps.allEnd);
    }
    return steps;
  };
}

} // namespace nysjit::cpu
