// Loops, whose copies of later iterations are under way while one computes, and branches.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

/// The forms of a carried value: scalars have one of their own.
static SmallVector<unsigned> carriedForms(const KernelPlan &plan, Value value) {
  if (isOneDimensional(value)) {
    SmallVector<unsigned> forms;
    for (unsigned part : {RowPart, ColumnPart})
      if (plan.parts(value) & part)
        forms.push_back(part);
    return forms;
  }
  return {0};
}

/// Each form of each value that the loop carries.
static void forCarried(const KernelPlan &plan, scf::ForOp loop,
                       llvm::function_ref<void(size_t index, unsigned form)> visit) {
  for (size_t i = 0; i < loop.getNumResults(); ++i)
    for (unsigned form : carriedForms(plan, loop.getResult(i)))
      visit(i, form);
}

void KernelEmitter::emitFor(scf::ForOp loop) {
  const Location loc = e.loc;
  const PipelinedLoop *pipeline = plan.pipelined(loop);
  Value lower = scalars.lookup(loop.getLowerBound());
  Value upper = scalars.lookup(loop.getUpperBound());
  Value step = scalars.lookup(loop.getStep());

  // Carried tiles become carried registers.
  SmallVector<Value> initial;
  forCarried(plan, loop, [&](size_t i, unsigned form) {
    Value value = loop.getInitArgs()[i];
    if (tileType(value))
      llvm::append_range(initial, registersOf(value, form));
    else
      initial.push_back(scalars.lookup(value));
  });

  if (pipeline) {
    // The first stages start.
    copier = threadAt(loop);
    awaitCopied(pipeline->loads);
    const bool isAsynchronous = anyIsAsynchronous(*pipeline);
    for (int stage = 0; stage + 1 < pipeline->stages; ++stage) {
      Value at = e.add(lower, e.mul(step, stage));
      e.when(e.less(at, upper), [&] {
        IRMapping outer = scalars;
        scalars.map(loop.getInductionVar(), at);
        for (tile::LoadOp load : pipeline->loads) {
          e.loc = load.getLoc();
          startCopy(load, Value(), e.i32(stage));
        }
        scalars = outer;
      });
      e.loc = loc;
      if (isAsynchronous)
        e.commitCopies();
    }
    initial.push_back(e.i32(0)); // the stage in use
  }

  // A turn starts with what is under way before the loop or at the end of a turn, which only the
  // turn itself can tell: if that is more than it was emitted for, once more. A pipelined loop's
  // turns start with a barrier.
  const UnderWay before = underWay;
  scf::ForOp lowered;
  for (UnderWay start = before;; start.add(underWay), lowered.erase()) {
    underWay = start;
    lowered = emitTurns(loop, lower, upper, step, initial);
    if (pipeline || start.covers(underWay))
      break;
  }
  underWay.add(before);

  mapCarried(loop, loop.getResults(), lowered.getResults());
}

/// `tiles`, a loop's results or arguments, are in the registers `values`.
void KernelEmitter::mapCarried(scf::ForOp loop, ValueRange tiles, ValueRange values) {
  size_t next = 0;
  forCarried(plan, loop, [&](size_t i, unsigned form) {
    if (!tileType(tiles[i])) {
      scalars.map(tiles[i], values[next++]);
      return;
    }
    Registers own;
    for (size_t count = registersOf(loop.getInitArgs()[i], form).size(); count--;)
      own.push_back(values[next++]);
    setRegisters(tiles[i], own, form);
  });
}

/// The loop itself. Of a pipelined one, the last of `initial` is the stage in use.
scf::ForOp KernelEmitter::emitTurns(scf::ForOp loop, Value lower, Value upper, Value step,
                                    ValueRange initial) {
  OpBuilder &b = e.builder;
  const Location loc = e.loc;
  const PipelinedLoop *pipeline = plan.pipelined(loop);
  auto lowered = scf::ForOp::create(b, loc, lower, upper, step, initial);
  OpBuilder::InsertionGuard guard(b);
  if (initial.empty())
    b.setInsertionPoint(lowered.getBody()->getTerminator());
  else
    b.setInsertionPointToStart(lowered.getBody());
  scalars.map(loop.getInductionVar(), lowered.getInductionVar());
  mapCarried(loop, loop.getRegionIterArgs(), lowered.getRegionIterArgs());
  Value slot;
  if (pipeline) {
    slot = lowered.getRegionIterArgs().back();
    emitPipelinedBody(loop, *pipeline, lowered.getInductionVar(), upper, step, slot);
  }
  emitBlock(loop.getBody());
  e.loc = loc;
  SmallVector<Value> yielded;
  forCarried(plan, loop, [&](size_t i, unsigned form) {
    Value value = loop.getYieldedValues()[i];
    if (tileType(value))
      llvm::append_range(yielded, registersOf(value, form));
    else
      yielded.push_back(scalars.lookup(value));
  });
  if (pipeline) {
    Value following = e.add(slot, 1);
    yielded.push_back(pipeline->stages == 1
                          ? slot
                          : e.select(e.equal(following, pipeline->stages), e.i32(0), following));
  }
  if (!initial.empty())
    scf::YieldOp::create(b, loc, yielded);
  return lowered;
}

/// The head of an iteration: this one's copies have arrived for all warps, and all warps are done
/// with the stage that the copies of a later iteration now fill.
void KernelEmitter::emitPipelinedBody(scf::ForOp loop, const PipelinedLoop &pipeline,
                                      Value induction, Value upper, Value step, Value slot) {
  const Location loc = e.loc;
  const int ahead = pipeline.stages - 1;
  const bool isAsynchronous = anyIsAsynchronous(pipeline);
  if (ahead > 0 && isAsynchronous)
    e.waitForCopies(ahead - 1);
  barrier();
  Value later = e.add(induction, e.mul(step, ahead));
  // (slot + stages - 1) % stages
  Value filled = ahead == 0 ? Value() : e.select(e.equal(slot, 0), e.i32(ahead), e.add(slot, -1));
  auto start = [&] {
    IRMapping outer = scalars;
    scalars.map(loop.getInductionVar(), later);
    for (tile::LoadOp load : pipeline.loads) {
      e.loc = load.getLoc();
      startCopy(load, Value(), filled);
    }
    scalars = outer;
  };
  if (ahead == 0)
    start();
  else
    e.when(e.less(later, upper), start);
  e.loc = loc;
  if (isAsynchronous)
    e.commitCopies();
  if (ahead == 0) {
    if (isAsynchronous)
      e.waitForCopies(0);
    barrier();
  }
  bool converts = false;
  for (tile::LoadOp load : pipeline.loads) {
    slots[load] = ahead == 0 ? Value() : slot;
    if (needsConversion(load)) {
      e.loc = load.getLoc();
      convertForms(load, slots[load]);
      converts = true;
    }
  }
  e.loc = loc;
  if (converts)
    barrier();
}

void KernelEmitter::emitIf(scf::IfOp branch) {
  auto lowered = scf::IfOp::create(e.builder, e.loc, scalars.lookup(branch.getCondition()),
                                   !branch.getElseRegion().empty());
  OpBuilder::InsertionGuard guard(e.builder);
  const UnderWay before = underWay;
  e.builder.setInsertionPoint(lowered.thenBlock()->getTerminator());
  emitBlock(branch.thenBlock());
  UnderWay after = underWay;
  underWay = before;
  if (!branch.getElseRegion().empty()) {
    e.builder.setInsertionPoint(lowered.elseBlock()->getTerminator());
    emitBlock(branch.elseBlock());
  }
  underWay.add(after);
}

} // namespace nysjit::gpu
