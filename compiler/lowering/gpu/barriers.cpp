// Barriers, and waits for copies: what shared memory holds is read once it is there for all warps,
// and overwritten once none reads it and no copy to it is under way.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

//===- Barriers -------------------------------------------------------------------------------===//

bool KernelEmitter::UnderWay::isRead(const SharedRange &range) const {
  return llvm::any_of(reads, [&](const SharedRange &known) {
    return known.begin <= range.begin && range.end <= known.end;
  });
}

bool KernelEmitter::UnderWay::covers(const UnderWay &other) const {
  auto isHere = [](const auto &set) { return [&](auto element) { return set.contains(element); }; };
  auto isReadHere = [&](const SharedRange &range) { return isRead(range); };
  return llvm::all_of(other.reads, isReadHere) && llvm::all_of(other.loads, isHere(loads)) &&
         llvm::all_of(other.stored, isHere(stored)) && llvm::all_of(other.synced, isHere(synced));
}

void KernelEmitter::UnderWay::add(const UnderWay &other) {
  // Once each: what is added at every loop's end would double there.
  for (const SharedRange &range : other.reads)
    if (!isRead(range))
      reads.push_back(range);
  loads.insert(other.loads.begin(), other.loads.end());
  stored.insert(other.stored.begin(), other.stored.end());
  synced.insert(other.synced.begin(), other.synced.end());
}

/// A barrier before the place where `builder` stands, since which nothing has touched memory but
/// waits for copies; null if there is none.
static Operation *barrierJustBefore(OpBuilder &builder) {
  Block::iterator at = builder.getInsertionPoint();
  while (at != builder.getBlock()->begin()) {
    Operation *op = &*--at;
    auto call = dyn_cast<LLVM::CallIntrinsicOp>(op);
    if (call && call.getIntrin() == WarpBuilder::barrierName)
      return op;
    const bool isWait = call && call.getIntrin() == WarpBuilder::waitForCopiesName;
    if (!isWait && !isMemoryEffectFree(op))
      return nullptr;
  }
  return nullptr;
}

void KernelEmitter::barrier() {
  if (Operation *needless = barrierJustBefore(e.builder))
    needless->erase();
  e.barrier();
  underWay = {};
}

void KernelEmitter::awaitReaders(ArrayRef<SharedRange> written) {
  auto isWritten = [&](const SharedRange &range) {
    return llvm::any_of(written, [&](const SharedRange &other) { return other.meets(range); });
  };
  auto isCopied = [&](Operation *load) { return isWritten(plan.shared(load)->copied()); };
  if (llvm::any_of(arriving, isCopied)) {
    e.commitCopies();
    e.waitForCopies(0);
    barrier();
    if (isa<func::FuncOp>(e.builder.getBlock()->getParentOp())) // else only here
      llvm::erase_if(arriving, isCopied);
  } else if (llvm::any_of(underWay.reads, isWritten)) {
    barrier();
  }
}

void KernelEmitter::awaitStores(Load load) {
  if (underWay.synced.contains(baseOf(load.getView())))
    barrier();
}

//===- Waits ----------------------------------------------------------------------------------===//

/// Whether all copies that `load` has started are waited for between it and `reader`, for a load of
/// its own.
bool KernelEmitter::awaitsBetween(Load load, Operation *reader) {
  return reader->getBlock() == load->getBlock() &&
         llvm::any_of(*load->getBlock(), [&](Operation &op) {
           const SharedLoad *shared = plan.shared(&op);
           return shared && load->isBeforeInBlock(&op) && op.isBeforeInBlock(reader) &&
                  isAsynchronous(Load::of(&op)) && shared->isAwaited && shared->pending == 0 &&
                  loopsThatRead(Load::of(&op)).empty();
         });
}

/// Where a load is only read in pipelined loops, whose iterations start with a barrier, and after
/// another load's wait: these loops. Else none. In a loop there must be such a wait, or an
/// iteration that enters none of the loops would leave its copies under way.
SmallVector<const PipelinedLoop *> KernelEmitter::loopsThatRead(Load load) {
  if (plan.shared(load)->startsWith.size() != 1 || plan.comesThroughShared(load) ||
      needsConversion(load))
    return {};
  SmallVector<const PipelinedLoop *> loops;
  bool isAwaited = isa<func::FuncOp>(load->getParentOp());
  for (Operation *user : load->getUsers())
    if (auto dot = dyn_cast<tile::DotOp>(user)) {
      const PipelinedLoop *loop = plan.pipelined(user->getParentOp());
      if (plan.isPreloaded(dot) || !(loop || awaitsBetween(load, user)))
        return {};
      isAwaited |= !loop;
      if (loop)
        loops.push_back(loop);
    }
  return isAwaited ? loops : SmallVector<const PipelinedLoop *>();
}

/// Whether loops that wait for copies of their own wait for the load's, too. Not for what the
/// kernel may overwrite before that.
bool KernelEmitter::arrivesWithLoops(Load load, ArrayRef<const PipelinedLoop *> loops) {
  bool isStored = false;
  source.walk(
      [&](tile::StoreOp store) { isStored |= baseOf(store.getView()) == baseOf(load.getView()); });
  return !isStored &&
         llvm::all_of(loops, [&](const PipelinedLoop *loop) { return anyIsAsynchronous(*loop); });
}

/// Before the first copies of `loads` start: their shared memory is free and what they read is
/// there.
void KernelEmitter::awaitCopied(ArrayRef<Load> loads) {
  SmallVector<SharedRange> written;
  for (Load load : loads) {
    awaitStores(load);
    written.push_back(plan.shared(load)->copied());
  }
  awaitReaders(written);
}

} // namespace nysjit::gpu
