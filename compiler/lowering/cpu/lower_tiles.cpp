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
                   e.mul(scalars.lookup(view.getRowStride()), e.i64(bytes)),
                   type.getElement(),
                   type.getColumns(),
                   /*isArgument=*/false,
                   view.getStrided()};
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
/// iteration will touch; `aroundIt`: that of the loops around.
VectorBuilder::Values KernelEmitter::emitBody(CarryingLoop loop, SmallVector<Ahead> upcoming,
                                              SmallVector<Ahead> aroundIt) {
  const SmallVector<Ahead> around = std::exchange(nextAround, std::move(aroundIt));
  const SmallVector<Ahead> outer = std::exchange(nextIteration, std::move(upcoming));
  emitBlock(loop.body());
  nextIteration = outer;
  nextAround = around;
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
    const VectorBuilder::Values next =
        emitBody(carrying, tilesOfNextIteration(source), tilesAround(source));
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
    const VectorBuilder::Values next = emitBody(carrying, {}, {});
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
