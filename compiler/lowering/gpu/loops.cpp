// Loops, whose copies of later iterations are under way while one computes, and branches.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

SmallVector<Value> KernelEmitter::valuesFor(ValueRange carried, ValueRange values) {
  SmallVector<Value> all;
  for (auto [place, value] : llvm::zip_equal(carried, values))
    for (unsigned spread : spreadsOf(place)) {
      if (tileType(value))
        llvm::append_range(all, registersOf(value, spread));
      else
        all.push_back(scalars.lookup(value));
    }
  return all;
}

void KernelEmitter::mapCarried(ValueRange carried, ValueRange values) {
  size_t next = 0;
  for (Value place : carried)
    for (unsigned spread : spreadsOf(place)) {
      if (!tileType(place)) {
        scalars.map(place, values[next++]);
        continue;
      }
      const size_t count = registerCount(tileType(place), spread);
      const ValueRange own = values.slice(next, count);
      setRegisters(place, Registers(own.begin(), own.end()), spread);
      next += count;
    }
}

void KernelEmitter::emitFor(scf::ForOp loop) {
  const Location loc = e.loc;
  const PipelinedLoop *pipeline = plan.pipelined(loop);
  Value lower = scalars.lookup(loop.getLowerBound());
  Value upper = scalars.lookup(loop.getUpperBound());
  Value step = scalars.lookup(loop.getStep());

  packBefore(loop);
  // Carried tiles become carried registers.
  SmallVector<Value> initial = valuesFor(loop.getResults(), loop.getInitArgs());

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
        for (Load load : pipeline->loads) {
          e.loc = load->getLoc();
          startCopy(load, &loop.getRegion(), e.i32(stage));
        }
        scalars = outer;
      });
      e.loc = loc;
      if (isAsynchronous)
        e.commitCopies();
    }
    initial.push_back(e.i32(0)); // the stage in use
  }

  // An iteration starts with what is under way before the loop or at the end of an iteration, which
  // only the iteration itself can tell: if that is more than it was emitted for, once more. A
  // pipelined loop's iterations start with a barrier.
  const UnderWay before = underWay;
  scf::ForOp lowered;
  for (UnderWay start = before;; start.add(underWay), lowered.erase()) {
    underWay = start;
    lowered = emitIterations(loop, lower, upper, step, initial);
    if (pipeline || start.covers(underWay))
      break;
  }
  underWay.add(before);

  mapCarried(loop.getResults(), lowered.getResults());
}

/// The loop itself. Of a pipelined one, the last of `initial` is the stage in use.
scf::ForOp KernelEmitter::emitIterations(scf::ForOp loop, Value lower, Value upper, Value step,
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
  mapCarried(loop.getRegionIterArgs(), lowered.getRegionIterArgs());
  Value stage;
  if (pipeline) {
    stage = lowered.getRegionIterArgs().back();
    emitPipelinedBody(loop, *pipeline, lowered.getInductionVar(), upper, step, stage);
  }
  emitBlock(loop.getBody());
  e.loc = loc;
  SmallVector<Value> yielded = valuesFor(loop.getResults(), loop.getYieldedValues());
  if (pipeline) {
    Value following = e.add(stage, 1);
    yielded.push_back(pipeline->stages == 1
                          ? stage
                          : e.select(e.equal(following, pipeline->stages), e.i32(0), following));
  }
  if (!initial.empty())
    scf::YieldOp::create(b, loc, yielded);
  return lowered;
}

/// The head of an iteration: this one's copies have arrived for all warps, and all warps are done
/// with the stage that the copies of a later iteration now fill.
void KernelEmitter::emitPipelinedBody(scf::ForOp loop, const PipelinedLoop &pipeline,
                                      Value induction, Value upper, Value step, Value stage) {
  const Location loc = e.loc;
  const int ahead = pipeline.stages - 1;
  const bool isAsynchronous = anyIsAsynchronous(pipeline);
  if (ahead > 0 && isAsynchronous)
    e.waitForCopies(ahead - 1);
  barrier();
  Value later = e.add(induction, e.mul(step, ahead));
  // (stage + stages - 1) % stages
  Value filled = ahead == 0 ? Value() : e.select(e.equal(stage, 0), e.i32(ahead), e.add(stage, -1));
  auto start = [&] {
    IRMapping outer = scalars;
    scalars.map(loop.getInductionVar(), later);
    for (Load load : pipeline.loads) {
      e.loc = load->getLoc();
      startCopy(load, &loop.getRegion(), filled);
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
  for (Load load : pipeline.loads) {
    stagesInUse[load] = ahead == 0 ? Value() : stage;
    if (needsConversion(load)) {
      e.loc = load->getLoc();
      convertForms(load, stagesInUse[load]);
      converts = true;
    }
  }
  e.loc = loc;
  if (converts)
    barrier();
}

/// A loop without copies of its own under way. Its condition is the same for all threads.
void KernelEmitter::emitWhile(scf::WhileOp loop) {
  packBefore(loop);
  const SmallVector<Value> initial = valuesFor(loop.getBeforeArguments(), loop.getInits());
  const UnderWay before = underWay;
  scf::WhileOp lowered;
  for (UnderWay start = before;; start.add(underWay), lowered.erase()) { // as in emitFor
    underWay = start;
    lowered = emitIterations(loop, initial);
    if (start.covers(underWay))
      break;
  }
  underWay.add(before);
  mapCarried(loop.getResults(), lowered.getResults());
}

scf::WhileOp KernelEmitter::emitIterations(scf::WhileOp loop, ValueRange initial) {
  OpBuilder &b = e.builder;
  const Location loc = e.loc;
  SmallVector<Type> forwarded; // by the condition to the body, and to what is after the loop
  for (Value result : loop.getResults())
    for (unsigned spread : spreadsOf(result)) {
      const RankedTensorType tile = tileType(result);
      const Type element = tile ? tile.getElementType() : result.getType();
      forwarded.append(tile ? registerCount(tile, spread) : 1,
                       tile && isa<FloatType>(element) ? e.f32Type() : element);
    }
  auto lowered = scf::WhileOp::create(b, loc, forwarded, initial);
  OpBuilder::InsertionGuard guard(b);
  auto open = [&](Region &region, TypeRange types) {
    return b.createBlock(&region, {}, types, SmallVector<Location>(types.size(), loc));
  };
  Block *condition = open(lowered.getBefore(), initial.getTypes());
  mapCarried(loop.getBeforeArguments(), condition->getArguments());
  emitBlock(loop.getBeforeBody());
  scf::ConditionOp decided = loop.getConditionOp();
  scf::ConditionOp::create(b, loc, scalars.lookup(decided.getCondition()),
                           valuesFor(loop.getResults(), decided.getArgs()));
  Block *body = open(lowered.getAfter(), forwarded);
  mapCarried(loop.getAfterArguments(), body->getArguments());
  emitBlock(loop.getAfterBody());
  e.loc = loc;
  scf::YieldOp::create(b, loc,
                       valuesFor(loop.getBeforeArguments(), loop.getYieldOp().getOperands()));
  return lowered;
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
