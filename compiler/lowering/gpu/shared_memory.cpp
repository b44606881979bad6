// Which copies are under way together, and where in shared memory lies what is copied and what
// warps exchange.
#include "compiler/lowering/expand_masks.h"
#include "compiler/lowering/gpu/kernel_plan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

//===- Loops ----------------------------------------------------------------------------------===//

/// Whether `value` can be computed for another iteration: arithmetic on the induction variable and
/// what is outside.
static bool dependsOnInductionOnly(Value value, scf::ForOp loop) {
  if (value.getParentRegion() != &loop.getRegion())
    return true;
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument == loop.getInductionVar();
  Operation *op = value.getDefiningOp();
  return (isa_and_nonnull<arith::ArithDialect>(op->getDialect()) ||
          isa<tile::IotaOp, tensor::SplatOp>(op)) &&
         llvm::all_of(op->getOperands(),
                      [&](Value operand) { return dependsOnInductionOnly(operand, loop); });
}

bool KernelPlan::canPipeline(scf::ForOp loop) const {
  constexpr int many = 4; // of a loop whose loads take turns
  if (!pipelines)
    return false;
  int count = 0;
  for (Operation &op : *loop.getBody()) {
    if (isa<scf::ForOp, scf::WhileOp, scf::IfOp, tile::StoreOp, tile::SyncOp>(op))
      return false;
    if (!loads.count(&op))
      continue;
    ++count;
    const Load load = Load::of(&op);
    if (load.getView().getParentRegion() == &loop.getRegion() ||
        !dependsOnInductionOnly(load.getRow(), loop))
      return false;
  }
  return count > 0 && !(sharesMemory && count > many);
}

/// Puts loads that stand one after another together, as far as nothing between them writes memory
/// or waits for copies of its own and the first knows where all of them read.
void KernelPlan::groupCopies(Block *block) {
  Operation *first = nullptr;
  // The rows of a gather are computed again: what they are computed from must be known.
  auto isKnown = [&](auto &&self, Value value) -> bool {
    Operation *op = value.getDefiningOp();
    return !op || op->getBlock() != block || op->isBeforeInBlock(first) ||
           (isOneDimensional(value) &&
            llvm::all_of(op->getOperands(), [&](Value operand) { return self(self, operand); }));
  };
  for (Operation &op : *block) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        groupCopies(&inner);
    if (isa<scf::ForOp, scf::WhileOp, scf::IfOp, tile::StoreOp, tile::SyncOp>(op))
      first = nullptr;
    auto found = loads.find(&op);
    if (found == loads.end() || found->second.loop)
      continue;
    const Load load = Load::of(&op);
    if (!first || sharesMemory || !isKnown(isKnown, load.getView()) ||
        !isKnown(isKnown, load.getRow()))
      first = &op;
    loads[first].startsWith.push_back(load);
  }
}

void KernelPlan::planLoops(func::FuncOp kernel) {
  loops.clear();
  for (auto &[op, load] : loads) {
    load.startsWith.clear();
    load.pending = 0;
  }
  kernel.walk([&](scf::ForOp loop) {
    if (!canPipeline(loop))
      return;
    PipelinedLoop &pipeline = loops[loop];
    pipeline.stages = stages;
    for (Operation &op : *loop.getBody())
      if (loads.count(&op)) {
        pipeline.loads.push_back(Load::of(&op));
        loads[&op].loop = loop;
        loads[&op].stages = stages;
      }
  });
  groupCopies(&kernel.getBody().front());
  for (auto &[op, load] : loads) {
    // A load that is not awaited itself arrives with the next that is: nothing may read any of them
    // before the load after that one.
    const ArrayRef<Load> started = load.startsWith;
    for (size_t i = 0, first = 0; i < started.size(); ++i) {
      const bool isAwaited = i + 1 == started.size() ||
                             llvm::any_of(started.slice(first, i + 1 - first), [&](Load one) {
                               return isNeededBefore(one, started[i + 1]);
                             });
      loads[started[i]].isAwaited = isAwaited;
      first = isAwaited ? i + 1 : first;
    }
    int pending = 0;
    for (Load one : llvm::reverse(started)) {
      loads[one].pending = pending;
      pending += loads[one].isAwaited;
    }
  }
}

/// Whether anything reads the load's shared memory before `later`, a load of the same block.
bool KernelPlan::isNeededBefore(Load load, Operation *later) const {
  const SharedLoad &shared = loads.find(load)->second;
  if (comesThroughShared(load) || !shared.terms.empty() || shared.widened)
    return true; // where it stands
  return llvm::any_of(load->getUsers(), [&](Operation *user) {
    auto dot = dyn_cast<tile::DotOp>(user);
    return dot && (isPreloaded(dot) ||
                   later->getBlock()->findAncestorOpInBlock(*user)->isBeforeInBlock(later));
  });
}

//===- Shared memory --------------------------------------------------------------------------===//

int64_t KernelPlan::scratchBytes(Operation *op) const {
  if (auto reduce = dyn_cast<tile::ReduceOp>(op)) {
    const RankedTensorType type = reduce.getValue().getType();
    if (type.getRank() == 1)
      return 128;
    const unsigned made = reduce.getAxis() == 1 ? OverRows : OverColumns;
    // last
    const int64_t spread =
        spreads(reduce.getResult()) & ~made ? type.getDimSize(1 - reduce.getAxis()) * 4 : 0;
    return (reduce.getAxis() == 0 ? warps * type.getDimSize(1) * 4 : 0) + spread;
  }
  if (auto transpose = dyn_cast<tile::TransposeOp>(op))
    return transpose.getValue().getType().getDimSize(0) *
           transposeStride(transpose.getValue().getType()) * 4;
  if (auto solve = dyn_cast<tile::TriangularSolveOp>(op)) {
    const RankedTensorType lower = solve.getTriangle().getType();
    const RankedTensorType rhs = solve.getRhs().getType();
    return (lower.getNumElements() + rhs.getNumElements()) * 4;
  }
  if (auto dot = dyn_cast<tile::DotOp>(op)) { // operands that are computed but needed by all warps
    auto bytes = [](Value operand) {
      return loadOf(operand) ? 0 : tileType(operand).getNumElements() * 4;
    };
    const int64_t flags = skipsZeros(dot) ? tileType(dot.getB()).getDimSize(0) * 4 : 0;
    return (dot.getTransposeA() ? bytes(dot.getA()) : 0) + bytes(dot.getB()) + flags;
  }
  return 0;
}

/// `bytes` from `top` on, which moves behind them.
static int64_t place(int64_t &top, int64_t bytes) {
  constexpr int64_t alignment = 128;
  const int64_t offset = top;
  top += (bytes + alignment - 1) / alignment * alignment;
  return offset;
}

static void placeForms(SharedLoad &load, int64_t &top) {
  for (SharedTile &term : load.terms)
    term.offset = place(top, term.bytes());
  if (load.widened)
    load.widened->offset = place(top, load.widened->bytes());
}

static void placeLoad(SharedLoad &load, int64_t &top) {
  load.raw.offset = place(top, load.raw.bytes() * load.stages);
  placeForms(load, top);
}

/// Whether other forms are made of the load where it stands, and nothing reads what was copied
/// after that.
bool KernelPlan::isConvertedAtOnce(Load load, const SharedLoad &shared) const {
  const Type element = load.getResult().getType().getElementType();
  return !shared.loop && (!shared.terms.empty() || shared.widened) &&
         llvm::all_of(load->getUsers(), [&](Operation *user) {
           auto op = dyn_cast<tile::DotOp>(user);
           return op && form(dot(op), element) != Form::Raw;
         });
}

/// Gives each load of the block the first place from `base` on that nothing has which is still to
/// be read. Returns all places, in the order of the loads.
SmallVector<KernelPlan::Taken> KernelPlan::placeInTurn(Block *block, int64_t base) {
  SmallVector<Taken> all;
  SmallVector<Taken> taken; // in the order of their places
  for (Operation &op : *block) {
    auto found = loads.find(&op);
    if (found == loads.end())
      continue;
    Operation *last = &op;
    for (Operation *user : op.getUsers())
      if (Operation *reader = block->findAncestorOpInBlock(*user); last->isBeforeInBlock(reader))
        last = reader;
    llvm::erase_if(taken, [&](const Taken &other) { return other.isReadBefore(&op); });
    SharedLoad &shared = found->second;
    Taken own{{}, 0, &op, shared.loop ? nullptr : last};
    auto placeAt = [&](int64_t begin) {
      own.range.begin = own.end = begin;
      if (!isConvertedAtOnce(Load::of(&op), shared)) {
        placeLoad(shared, own.end);
        own.range.end = own.end;
        return;
      }
      placeForms(shared, own.end);
      own.range.end = own.end;
      shared.raw.offset = place(own.end, shared.raw.bytes());
    };
    placeAt(base);
    for (const Taken &other : taken)
      if (SharedRange{own.range.begin, own.end}.meets(other.range))
        placeAt(other.range.end);
    taken.push_back(own);
    all.push_back(taken.back());
    llvm::sort(taken, [](const Taken &a, const Taken &b) { return a.range.begin < b.range.begin; });
  }
  return all;
}

/// Gives each load of the block its place from `base` on, then what lies inside, which may use
/// again what is no longer needed. Returns the end of what was used.
int64_t KernelPlan::allocate(Block *block, int64_t base) {
  // A load whose fragments go to registers at once leaves its memory to others, unless it arrives
  // together with them.
  auto isBrief = [](const SharedLoad &load) {
    return load.onlyPreloaded && load.pending == 0 && load.startsWith.size() == 1;
  };
  SmallVector<Taken> taken;
  if (sharesMemory)
    taken = placeInTurn(block, base);
  int64_t kept = base;
  for (Operation &op : *block)
    if (auto found = loads.find(&op);
        found != loads.end() && !sharesMemory && !isBrief(found->second))
      placeLoad(found->second, kept);
  int64_t end = kept;
  for (const Taken &load : taken)
    end = std::max(end, load.end);
  for (Operation &op : *block) {
    int64_t keptHere = kept;
    for (const Taken &load : taken)
      if (load.isHeldAt(&op))
        keptHere = std::max(keptHere, load.range.end);
    int64_t top = keptHere;
    if (auto found = loads.find(&op);
        found != loads.end() && !sharesMemory && isBrief(found->second))
      placeLoad(found->second, top);
    if (int64_t bytes = scratchBytes(&op))
      scratchRanges[&op].end = (scratchRanges[&op].begin = place(top, bytes)) + bytes;
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        top = std::max(top, allocate(&inner, keptHere));
    end = std::max(end, top);
  }
  return end;
}

} // namespace nysjit::gpu
