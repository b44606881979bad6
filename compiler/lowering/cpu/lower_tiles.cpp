// Emits one kernel from its schedule, step by step.
//
//   tile.load, elementwise, tile.reduce, tile.store   a loop over rows; a row of a 2-D tile is one
//                                                     vector, an element of a
//                                                     1-D tile that belongs to the row is one
//                                                     scalar
//   1-D operations by themselves                      one whole vector
//   tile.prefix_sum                                   sums that the loop over rows carries
//   tile.dot, tile.transpose, tile.triangular_solve   dot.cpp
//   scf.for                                           the same loop; its carried tiles are slots
#include "compiler/lowering/cpu/lower_tiles.h"

#include "compiler/lowering/cpu/kernel_emitter.h"
#include "compiler/lowering/cpu/rewrite.h"
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
    case StepKind::Loop: emitLoop(cast<scf::ForOp>(op)); break;
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

void KernelEmitter::emitDotStep(tile::DotOp dot) {
  if (!schedule.slot(dot.getResult()))
    return; // nothing reads it
  const RankedTensorType result = dot.getResult().getType();
  const int64_t m = result.getDimSize(0);
  const int64_t n = result.getDimSize(1);
  const int64_t k = dot.getA().getType().getDimSize(!dot.getTransposeA());
  /// Where a float32 tile lies, and the bytes from row to row.
  auto place = [&](Value tile) -> std::pair<Value, Value> {
    auto load = tile.getDefiningOp<tile::LoadOp>();
    const int64_t rows = tileType(tile).getDimSize(0);
    const int64_t columns = tileType(tile).getDimSize(1);
    if (!Schedule::isReadInPlace(load))
      return {slotAddress(tile), e.i64(columns * 4)};
    const Ahead inMemory = tileOf(load.getView(), load.getRow(), rows, false);
    return {inMemory.address, inMemory.rowBytes};
  };
  Dot product{.m = m, .n = n, .k = k};
  if (dot.getTransposeB()) {
    product.b = e.offset(e.scratch, schedule.transposeSlot(dot));
    const auto [from, rowBytes] = place(dot.getB());
    emitTranspose(e, from, rowBytes, product.b, n, k);
  } else {
    product.b = slotAddress(dot.getB());
    if (auto load = dot.getB().getDefiningOp<tile::LoadOp>(); Schedule::isReadWhereContiguous(load))
      product.b = arith::SelectOp::create(e.builder, e.loc, isContiguous(load),
                                          tileOf(load.getView(), load.getRow(), k, false).address,
                                          product.b);
  }
  std::tie(product.a, product.aRowBytes) = place(dot.getA());
  product.aStepBytes = 4;
  if (dot.getTransposeA()) {
    product.aRowBytes = e.i64(4);
    product.aStepBytes = m * 4;
  }
  if (dot.getAccumulator() && !isAllOf(dot.getAccumulator(), 0))
    product.from = slotAddress(dot.getAccumulator());
  product.c = slotAddress(dot.getResult());
  product.columnEnd = endOf(readAlong(dot.getResult(), 1), n);
  product.rowEnd = endOf(readAlong(dot.getResult(), 0), m);
  product.stepEnd = endOf(nonzeroAlong(dot.getA(), dot.getTransposeA() ? 0 : 1), k);
  product.ahead = nextTile(dot.getB());
  if (!product.ahead.rows)
    product.ahead = nextTile(dot.getA());
  if (!product.ahead.rows && !product.columnEnd && !product.rowEnd && !product.stepEnd &&
      !nextTurn.empty())
    product.ahead = nextTurn.pop_back_val();
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

/// The last end of some rows, at most `count`.
std::function<Value(Value, int64_t)> KernelEmitter::endOf(std::optional<VisibleEnd> end,
                                                          int64_t count) {
  if (!end || !isKnown(end->of) || (end->first && !isKnown(end->first)))
    return nullptr;
  return [this, end = *end, count](Value i, int64_t rows) {
    OpBuilder &b = e.builder;
    Value last;
    if (!tileType(end.of)) {
      last = scalars.lookup(end.of);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        enterRow(e.add(i, e.i64(r)));
        Value one = rowValue(end.of)[0];
        last = last ? arith::MaxSIOp::create(b, e.loc, last, one) : one;
      }
    }
    if (end.first)
      last = arith::SubIOp::create(b, e.loc, last, scalars.lookup(end.first));
    if (end.isInclusive)
      last = e.add(last, e.i32(1));
    last = arith::MinSIOp::create(b, e.loc, arith::MaxSIOp::create(b, e.loc, last, e.i32(0)),
                                  e.i32(count));
    return Value(arith::ExtSIOp::create(b, e.loc, b.getI64Type(), last));
  };
}

void KernelEmitter::emitSolve(tile::TriangularSolveOp solve) {
  if (!schedule.slot(solve.getResult()))
    return;
  const RankedTensorType type = solve.getResult().getType();
  copyTile(solve.getRhs(), solve.getResult());
  emitTriangularSolve(e, slotAddress(solve.getTriangle()), slotAddress(solve.getResult()),
                      type.getDimSize(0), type.getDimSize(1));
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

void KernelEmitter::emitLoop(scf::ForOp source) {
  OpBuilder &b = e.builder;
  VectorBuilder::Values initial;
  for (auto [value, argument] : llvm::zip(source.getInitArgs(), source.getRegionIterArgs())) {
    if (tileType(argument))
      copyTile(value, argument);
    else
      initial.push_back(scalars.lookup(value));
  }
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
    size_t index = 0;
    for (BlockArgument argument : source.getRegionIterArgs())
      if (!tileType(argument))
        scalars.map(argument, loop.getRegionIterArg(index++));
    const SmallVector<Ahead> outer = std::exchange(nextTurn, tilesOfNextTurn(source));
    emitBlock(source.getBody());
    nextTurn = outer;
    wholeTiles.clear();
    VectorBuilder::Values next;
    for (auto [value, argument] :
         llvm::zip(source.getBody()->getTerminator()->getOperands(), source.getRegionIterArgs())) {
      if (tileType(argument))
        copyTile(value, argument);
      else
        next.push_back(scalars.lookup(value));
    }
    if (!initial.empty())
      scf::YieldOp::create(b, e.loc, next);
  }
  size_t index = 0;
  for (Value result : source.getResults())
    if (!tileType(result))
      scalars.map(result, loop.getResult(index++));
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

/// Scalar arithmetic and views as early as their operands allow, so that addresses are known before
/// the loops that come first.
static void hoistScalars(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator())) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        hoistScalars(inner);
    auto isScalar = [](Value value) {
      return isa<IntegerType, IndexType, tile::PointerType, tile::ViewType>(value.getType());
    };
    if (op.getNumRegions() || op.getNumResults() != 1 || !isScalar(op.getResult(0)) ||
        !isMemoryEffectFree(&op) || !llvm::all_of(op.getOperands(), isScalar))
      continue;
    Operation *latest = nullptr;
    for (Value operand : op.getOperands())
      if (Operation *maker = operand.getDefiningOp();
          maker && maker->getBlock() == &block && (!latest || latest->isBeforeInBlock(maker)))
        latest = maker;
    if (latest)
      op.moveAfter(latest);
    else
      op.moveBefore(&block, block.begin());
  }
}

LogicalResult lowerTiles(ModuleOp module, VectorShape shape,
                         std::map<std::string, int64_t> &scratchBytes) {
  SmallVector<func::FuncOp> kernels;
  module.walk([&](func::FuncOp function) {
    if (function->hasAttr("tile.kernel"))
      kernels.push_back(function);
  });
  for (func::FuncOp kernel : kernels) {
    sumRows(kernel);
    turnSoftmaxes(kernel, shape.lanes);
    transposeOnce(kernel);
    makeOperands(kernel); // last: what tiles are made of decides about those before
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
