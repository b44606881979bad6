// Emits one kernel from its schedule, step by step.
//
//   tile.load, elementwise, tile.reduce, tile.store   a loop over rows; a row of a 2-D tile is one
//                                                     vector, an element of a
//                                                     1-D tile that belongs to the row is one
//                                                     scalar
//   1-D operations by themselves                      one whole vector
//   tile.cumulative_sum                                   sums that the loop over rows carries
//   tile.dot, tile.transpose, tile.triangular_solve   dot.cpp
//   scf.for, scf.while                                the same loop; its carried tiles are slots
#include "compiler/lowering/cpu/lower_tiles.h"

#include "compiler/lowering/cpu/kernel_emitter.h"
#include "compiler/lowering/cpu/rewrite/rewrites.h"
#include "compiler/lowering/expand_masks.h"
#include "compiler/lowering/forget_roundings.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::cpu {

func::FuncOp KernelEmitter::run() {
  OpBuilder &b = e.builder;
  b.setInsertionPoint(source);
  const Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto kernel = func::FuncOp::create(b, e.loc, source.getName(),
                                     b.getFunctionType({pointer, b.getI64Type(), pointer}, {}));
  Block *entry = kernel.addEntryBlock();
  b.setInsertionPointToStart(entry);
  e.scratch = entry->getArgument(2);
  cellId = arith::TruncIOp::create(b, e.loc, b.getI32Type(), entry->getArgument(1));
  for (BlockArgument argument : source.getArguments()) {
    const Type type = isa<tile::PointerType>(argument.getType()) ? pointer : argument.getType();
    scalars.map(argument,
                e.load(type, e.offset(entry->getArgument(0), argument.getArgNumber() * 8), 8));
  }
  emitBlock(&source.getBody().front());
  func::ReturnOp::create(b, source.getLoc());
  return kernel;
}

void KernelEmitter::emitBlock(Block *block) {
  for (const Step &step : schedule.steps(block)) {
    Operation *op = step.operations.front();
    e.loc = op->getLoc();
    wholeTiles.clear();
    switch (step.kind) {
    case StepKind::Rows:
      Schedule::isReadWhereContiguous(op) ? emitUnlessContiguous(step) : emitRows(step);
      break;
    case StepKind::Vector: emitVector(op); break;
    case StepKind::Dot: emitDotStep(cast<tile::DotOp>(op)); break;
    case StepKind::Transpose: emitTransposeStep(cast<tile::TransposeOp>(op)); break;
    case StepKind::Solve: emitSolve(cast<tile::TriangularSolveOp>(op)); break;
    case StepKind::Reduce: emitReduce(cast<tile::ReduceOp>(op)); break;
    case StepKind::Loop:
      isa<scf::ForOp>(op) ? emitLoop(cast<scf::ForOp>(op)) : emitWhile(cast<scf::WhileOp>(op));
      break;
    case StepKind::Branch: emitBranch(cast<scf::IfOp>(op)); break;
    case StepKind::Scalar: emitScalar(op); break;
    }
  }
}

void KernelEmitter::emitScalar(Operation *op) {
  if (isa<tile::CellIdOp>(op)) {
    scalars.map(op->getResult(0), cellId);
  } else if (auto view = dyn_cast<tile::ViewOp>(op)) {
    const tile::ViewType type = view.getResult().getType();
    const int64_t bytes = type.getElement().getIntOrFloatBitWidth() / 8;
    Value start = e.mul(scalars.lookup(view.getOffset()), e.i64(bytes));
    views[view] = {e.offset(scalars.lookup(view.getBase()), start),
                   scalars.lookup(view.getLength()),
                   e.mul(scalars.lookup(view.getRowStride()), e.i64(bytes)), type.getElement(),
                   type.getColumns()};
  } else if (auto load = dyn_cast<tile::LoadScalarOp>(op)) {
    scalars.map(load.getResult(), emitScalarLoad(load));
  } else if (auto exponential = dyn_cast<math::Exp2Op>(op)) {
    scalars.map(exponential.getResult(), emitExp2(e, scalars.lookup(exponential.getOperand())));
  } else if (auto logarithm = dyn_cast<math::Log2Op>(op)) {
    scalars.map(logarithm.getResult(), emitLog2(e, scalars.lookup(logarithm.getOperand())));
  } else {
    e.builder.clone(*op, scalars);
  }
}

void KernelEmitter::emitReduce(tile::ReduceOp reduce) {
  scalars.map(reduce.getResult(), reduction(reduce.getKind(), wholeTile(reduce.getValue())));
}

void KernelEmitter::emitTransposeStep(tile::TransposeOp transpose) {
  const RankedTensorType type = transpose.getValue().getType();
  const int64_t rows = type.getDimSize(0);
  const int64_t columns = type.getDimSize(1);
  if (schedule.slot(transpose.getResult()))
    emitTranspose(e, slotAddress(transpose.getValue()), e.i64(columns * 4),
                  slotAddress(transpose.getResult()), rows, columns);
}

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
  if (!schedule.slot(dot.getResult()))
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
  if (dot.getAccumulator() && !isZero(dot.getAccumulator()))
    product.from = slotAddress(dot.getAccumulator());
  product.c = slotAddress(dot.getResult());
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

void KernelEmitter::emitSolve(tile::TriangularSolveOp solve) {
  if (!schedule.slot(solve.getResult()))
    return;
  const RankedTensorType type = solve.getResult().getType();
  copyTile(solve.getRhs(), solve.getResult());
  emitTriangularSolve(e, slotAddress(solve.getTriangle()), slotAddress(solve.getResult()),
                      type.getDimSize(0), type.getDimSize(1), solve.getUpper());
}

//===- Control flow ---------------------------------------------------------------------------===//

/// to = from; nothing if they share a slot.
void KernelEmitter::copyTile(Value from, Value to) {
  const RankedTensorType type = tileType(to);
  Operation *op = Schedule::strip(from).getDefiningOp();
  const bool isLazy = op && Schedule::isLazy(op);
  if (!isLazy && *schedule.slot(from) == *schedule.slot(to))
    return;
  if (type.getRank() == 1) {
    e.storePieces(wholeTile(from), slotAddress(to));
    return;
  }
  e.loop(type.getDimSize(0), 1, {}, [&](Value induction, ValueRange) {
    enterRow(induction);
    e.storePieces(rowValue(from),
                  e.offset(slotAddress(to), e.mul(row, e.i64(type.getDimSize(1) * 4))));
    return VectorBuilder::Values();
  });
}

/// Carried tiles go to their slots; returns the carried scalars.
VectorBuilder::Values KernelEmitter::enterLoop(CarryingLoop loop) {
  VectorBuilder::Values initial;
  for (auto [value, argument] : llvm::zip(loop.inits(), loop.arguments())) {
    if (tileType(argument))
      copyTile(value, argument);
    else
      initial.push_back(scalars.lookup(value));
  }
  return initial;
}

/// Those of `values` that are no tiles, in order.
void KernelEmitter::mapScalars(ValueRange values, ValueRange emitted) {
  size_t index = 0;
  for (Value value : values)
    if (!tileType(value))
      scalars.map(value, emitted[index++]);
}

/// One iteration where the builder stands; returns the next scalars. `upcoming`: what the next
/// iteration will touch.
VectorBuilder::Values KernelEmitter::emitBody(CarryingLoop loop, SmallVector<Ahead> upcoming) {
  const SmallVector<Ahead> outer = std::exchange(nextIteration, std::move(upcoming));
  emitBlock(loop.body());
  nextIteration = outer;
  wholeTiles.clear();
  VectorBuilder::Values next;
  for (auto [value, argument] : llvm::zip(loop.next(), loop.arguments())) {
    if (tileType(argument))
      copyTile(value, argument);
    else
      next.push_back(scalars.lookup(value));
  }
  return next;
}

void KernelEmitter::emitLoop(scf::ForOp source) {
  OpBuilder &b = e.builder;
  CarryingLoop carrying(source);
  const VectorBuilder::Values initial = enterLoop(carrying);
  auto loop = scf::ForOp::create(b, e.loc, scalars.lookup(source.getLowerBound()),
                                 scalars.lookup(source.getUpperBound()),
                                 scalars.lookup(source.getStep()), initial);
  {
    OpBuilder::InsertionGuard guard(b);
    if (initial.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      b.setInsertionPointToStart(loop.getBody());
    scalars.map(source.getInductionVar(), loop.getInductionVar());
    mapScalars(ValueRange(source.getRegionIterArgs()), ValueRange(loop.getRegionIterArgs()));
    const VectorBuilder::Values next = emitBody(carrying, tilesOfNextIteration(source));
    if (!initial.empty())
      scf::YieldOp::create(b, e.loc, next);
  }
  mapScalars(source.getResults(), loop.getResults());
}

void KernelEmitter::emitWhile(scf::WhileOp source) {
  OpBuilder &b = e.builder;
  CarryingLoop carrying(source);
  const VectorBuilder::Values initial = enterLoop(carrying);
  const SmallVector<Type> types = llvm::map_to_vector(initial, [](Value v) { return v.getType(); });
  const SmallVector<Location> locations(types.size(), e.loc);
  auto loop = scf::WhileOp::create(b, e.loc, types, initial);
  {
    OpBuilder::InsertionGuard guard(b);
    // The condition reads scalars alone.
    Block *before = b.createBlock(&loop.getBefore(), {}, types, locations);
    mapScalars(ValueRange(source.getBeforeArguments()), ValueRange(before->getArguments()));
    for (Operation &op : source.getBeforeBody()->without_terminator())
      emitScalar(&op);
    Value holds = scalars.lookup(source.getConditionOp().getCondition());
    scf::ConditionOp::create(b, e.loc, holds, before->getArguments());
    Block *after = b.createBlock(&loop.getAfter(), {}, types, locations);
    mapScalars(ValueRange(source.getAfterArguments()), ValueRange(after->getArguments()));
    const VectorBuilder::Values next = emitBody(carrying, {});
    scf::YieldOp::create(b, e.loc, next);
  }
  mapScalars(source.getResults(), loop.getResults());
}

void KernelEmitter::emitBranch(scf::IfOp source) {
  auto branch = scf::IfOp::create(e.builder, e.loc, scalars.lookup(source.getCondition()),
                                  !source.getElseRegion().empty());
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPoint(branch.thenBlock()->getTerminator());
  emitBlock(source.thenBlock());
  if (source.getElseRegion().empty())
    return;
  e.builder.setInsertionPoint(branch.elseBlock()->getTerminator());
  emitBlock(source.elseBlock());
}

LogicalResult lowerTiles(ModuleOp module, VectorShape shape,
                         std::map<std::string, int64_t> &scratchBytes) {
  SmallVector<func::FuncOp> kernels;
  module.walk([&](func::FuncOp function) {
    if (function->hasAttr("tile.kernel"))
      kernels.push_back(function);
  });
  for (func::FuncOp kernel : kernels) {
    forgetRoundings(kernel);
    expandMasks(kernel);
    transposeColumnSums(kernel);
    transposeScores(kernel, shape.lanes);
    hoistTransposes(kernel);
    skipUnitScales(kernel);
    materializeOperands(kernel);
    hoistScalars(kernel.getBody().front());
    FailureOr<Schedule> schedule = Schedule::create(kernel);
    if (failed(schedule))
      return failure();
    scratchBytes[kernel.getName().str()] = schedule->scratchBytes();
    KernelEmitter(kernel, *schedule, shape).run();
    kernel.erase();
  }
  return success();
}

} // namespace nysjit::cpu
