// The decisions of kernel_plan.h, in the order create() makes them.
#include "compiler/lowering/gpu/kernel_plan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

FailureOr<KernelPlan> KernelPlan::create(func::FuncOp kernel, const KernelOptions &options) {
  // Rows that registers take through shared memory can do without it, dots cannot.
  for (bool isGenerous : {true, false}) {
    KernelPlan plan;
    plan.options = options;
    plan.registersThroughShared = isGenerous;
    if (failed(plan.decide(kernel)))
      return failure();
    if (plan.totalShared <= options.sharedLimit || !isGenerous)
      return plan;
  }
  return failure();
}

LogicalResult KernelPlan::decide(func::FuncOp kernel) {
  // Warps share rows; a dot's operands go through shared memory; each part of a 1-D tile where it
  // is needed.
  if (failed(chooseWarps(kernel)) || failed(planDots(kernel)))
    return failure();
  planAlignment(kernel);
  planRegisterLoads(kernel);
  planParts(kernel);
  if (failed(checkOperations(kernel)))
    return failure();
  // Loops over shared loads are pipelined as far as memory allows.
  const int least = options.numStages.value_or(1);
  for (stages = options.numStages.value_or(2);; --stages) {
    planLoops(kernel);
    totalShared = allocate(&kernel.getBody().front(), 0);
    if (totalShared <= options.sharedLimit || stages == least)
      return success();
  }
}

const SharedLoad *KernelPlan::shared(Operation *load) const {
  auto found = loads.find(load);
  return found == loads.end() ? nullptr : &found->second;
}

const PipelinedLoop *KernelPlan::pipelined(Operation *loop) const {
  auto found = loops.find(loop);
  return found == loops.end() ? nullptr : &found->second;
}

//===- Warps ----------------------------------------------------------------------------------===//

/// As many warps as the tallest dot (without one, load) has 16 rows, four at most unless the config
/// says otherwise.
LogicalResult KernelPlan::chooseWarps(func::FuncOp kernel) {
  int64_t tallest = 0;
  int64_t tallestLoad = 16;
  bool isFine = true;
  kernel.walk([&](Operation *op) {
    for (Value result : op->getResults())
      if (isTwoDimensional(result)) {
        const RankedTensorType type = tileType(result);
        if (!RowSplit::isRowCount(type.getDimSize(0)) || type.getDimSize(1) % 8 != 0) {
          op->emitOpError("expects rows by sixteens (or 8) and columns by eights, found ") << type;
          isFine = false;
        }
        if (isa<tile::DotOp>(op))
          tallest = std::max(tallest, type.getDimSize(0));
        if (isa<tile::LoadOp>(op))
          tallestLoad = std::max(tallestLoad, type.getDimSize(0));
      } else if (isOneDimensional(result) && tileType(result).getDimSize(0) != 1 &&
                 tileType(result).getDimSize(0) % 8 != 0) {
        op->emitOpError("expects a length by eights, or 1, found ") << result.getType();
        isFine = false;
      }
  });
  if (tallest == 0) // no dot
    tallest = tallestLoad;
  warps = options.numWarps ? *options.numWarps
                           : std::clamp<int64_t>(std::bit_floor(uint64_t(tallest / 16)), 1, 4);
  return success(isFine);
}

//===- Dots -----------------------------------------------------------------------------------===//

DotPlan KernelPlan::dot(tile::DotOp op) const {
  const Type f32 = Float32Type::get(op.getContext());
  const bool isFull = op.getPrecision() == tile::Precision::Full;
  if (options.input.isF32())
    return {options.singleTf32 && !isFull ? Products::Tf32 : Products::Tf32x3, f32, 1, 1};
  if (isFull)
    return {Products::Tf32x3, f32, 1, 1};
  const bool wideA = op.getA().getType().getElementType().isF32();
  const bool wideB = op.getB().getType().getElementType().isF32();
  if (op.getPrecision() == tile::Precision::TwoTerms)
    return {Products::Half, options.input, wideA ? 2 : 1, wideB ? 2 : 1};
  // A float32 operand may lie outside float16's range (landmark values may be 4.2 times the largest
  // value): tf32 has as many bits of mantissa and float32's range.
  if (options.input.isF16() && wideB)
    return {Products::Tf32, f32, 1, 1};
  return {Products::Half, options.input, 1, 1};
}

Form KernelPlan::form(const DotPlan &plan, Type source) {
  if (plan.products == Products::Half)
    return source.isF32() ? Form::Parts : Form::Raw;
  return source.isF32() ? Form::Raw : Form::Widened;
}

/// Registers of a row operand's fragments, for each 16 rows.
static int64_t fragmentRegisters(const DotPlan &plan, int64_t k) {
  return plan.products == Products::Half ? plan.partsA * ((k + 15) / 16) * 4 : k / 8 * 4;
}

BlockArgument argumentOf(Value view) {
  auto op = view.getDefiningOp<tile::ViewOp>();
  auto base = op ? dyn_cast<BlockArgument>(op.getBase()) : BlockArgument();
  auto kernel = base ? dyn_cast<func::FuncOp>(base.getOwner()->getParentOp()) : func::FuncOp();
  return kernel && kernel.getArgAttr(base.getArgNumber(), "tile.argument") ? base : BlockArgument();
}

LogicalResult KernelPlan::planDots(func::FuncOp kernel) {
  bool isFine = true;
  kernel.walk([&](tile::DotOp op) {
    const DotPlan plan = dot(op);
    if (op.getA().getType().getDimSize(0) % 16 != 0) {
      op.emitOpError("expects rows by sixteens, found ") << op.getA().getType();
      isFine = false;
    }
    if (!op.getTransposeB() && plan.products == Products::Half &&
        op.getB().getType().getDimSize(0) % 16 != 0) {
      op.emitOpError("expects an inner dimension by sixteens, found ") << op.getB().getType();
      isFine = false;
    }
    for (const auto &[operand, parts] :
         {std::pair(op.getA(), plan.partsA), std::pair(op.getB(), plan.partsB)}) {
      tile::LoadOp load = loadOf(operand);
      if (!load)
        continue;
      SharedLoad &shared = loads[load];
      const RankedTensorType type = load.getResult().getType();
      shared.raw = {0, type.getDimSize(0), type.getDimSize(1), type.getElementTypeBitWidth() / 8};
      const Form needed = form(plan, type.getElementType());
      if (needed == Form::Parts)
        while (static_cast<int>(shared.parts.size()) < parts)
          shared.parts.push_back({0, type.getDimSize(0), type.getDimSize(1), 2});
      if (needed == Form::Widened)
        shared.widened = SharedTile{0, type.getDimSize(0), type.getDimSize(1), 4};
      const bool isRowOperand = operand == op.getA() && operand != op.getB();
      const int64_t registers =
          fragmentRegisters(plan, type.getDimSize(1)) * split(type.getDimSize(0)).blocks;
      const bool isOutside = load->getBlock() != op->getBlock();
      if (isRowOperand && isOutside && plan.products != Products::Tf32x3 && registers <= 32)
        preloaded.insert(op);
      else
        shared.onlyPreloaded = false;
    }
  });
  return success(isFine);
}

void KernelPlan::planAlignment(func::FuncOp kernel) {
  kernel.walk([&](Operation *op) {
    auto load = dyn_cast<tile::LoadOp>(op);
    auto store = dyn_cast<tile::StoreOp>(op);
    if (!load && !store)
      return;
    if (BlockArgument argument = argumentOf(load ? load.getView() : store.getView());
        argument && isTwoDimensional(load ? Value(load.getResult()) : store.getValue()))
      if (!llvm::is_contained(aligned, argument.getArgNumber()))
        aligned.push_back(argument.getArgNumber());
  });
}

void KernelPlan::planRegisterLoads(func::FuncOp kernel) {
  kernel.walk([&](tile::LoadOp load) {
    if (!comesThroughShared(load))
      return;
    const RankedTensorType type = load.getResult().getType();
    SharedLoad &shared = loads[load];
    shared.raw = {0, type.getDimSize(0), type.getDimSize(1), 2};
    shared.onlyPreloaded = false;
  });
}

/// 16-bit rows of arguments: straight to registers they would be four bytes a load, half of what a
/// sector holds.
bool KernelPlan::comesThroughShared(tile::LoadOp load) const {
  const RankedTensorType type = load.getResult().getType();
  return registersThroughShared && type.getRank() == 2 && type.getElementTypeBitWidth() == 16 &&
         isOfArgument(load.getView()) && isUsedInRegisters(load);
}

bool KernelPlan::isUsedInRegisters(tile::LoadOp load) const {
  return llvm::any_of(load->getUsers(), [](Operation *user) { return !isa<tile::DotOp>(user); });
}

//===- Loops ----------------------------------------------------------------------------------===//

/// Whether `value` can be computed for another iteration: arithmetic on the induction variable and
/// what is outside.
static bool dependsOnInductionOnly(Value value, scf::ForOp loop) {
  if (value.getParentRegion() != &loop.getRegion())
    return true;
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument == loop.getInductionVar();
  Operation *op = value.getDefiningOp();
  return isa_and_nonnull<arith::ArithDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperands(),
                      [&](Value operand) { return dependsOnInductionOnly(operand, loop); });
}

bool KernelPlan::canPipeline(scf::ForOp loop) const {
  bool hasLoad = false;
  for (Operation &op : *loop.getBody()) {
    if (isa<scf::ForOp, scf::IfOp, tile::StoreOp, tile::SyncOp>(op))
      return false;
    if (!loads.count(&op))
      continue;
    hasLoad = true;
    auto load = cast<tile::LoadOp>(op);
    if (load.getView().getParentRegion() == &loop.getRegion() ||
        !dependsOnInductionOnly(load.getRow(), loop))
      return false;
  }
  return hasLoad;
}

/// Puts loads that stand one after another together, as far as nothing between them writes memory
/// or waits for copies of its own and the first knows where all of them read.
void KernelPlan::groupCopies(Block *block) {
  Operation *first = nullptr;
  auto isKnown = [&](Value value) {
    Operation *op = value.getDefiningOp();
    return !op || op->getBlock() != block || op->isBeforeInBlock(first);
  };
  for (Operation &op : *block) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        groupCopies(&inner);
    if (isa<scf::ForOp, scf::IfOp, tile::StoreOp, tile::SyncOp>(op))
      first = nullptr;
    auto found = loads.find(&op);
    if (found == loads.end() || found->second.loop)
      continue;
    auto load = cast<tile::LoadOp>(op);
    if (!first || !isKnown(load.getView()) || !isKnown(load.getRow()))
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
        pipeline.loads.push_back(cast<tile::LoadOp>(op));
        loads[&op].loop = loop;
        loads[&op].stages = stages;
      }
  });
  groupCopies(&kernel.getBody().front());
  for (auto &[op, load] : loads) {
    // A load that is not awaited itself arrives with the next that is: nothing may read any of them
    // before the load after that one.
    const ArrayRef<tile::LoadOp> started = load.startsWith;
    for (size_t i = 0, first = 0; i < started.size(); ++i) {
      const bool isAwaited =
          i + 1 == started.size() ||
          llvm::any_of(started.slice(first, i + 1 - first),
                       [&](tile::LoadOp one) { return isNeededBefore(one, started[i + 1]); });
      loads[started[i]].isAwaited = isAwaited;
      first = isAwaited ? i + 1 : first;
    }
    int pending = 0;
    for (tile::LoadOp one : llvm::reverse(started)) {
      loads[one].pending = pending;
      pending += loads[one].isAwaited;
    }
  }
}

/// Whether anything reads the load's shared memory before `later`, a load of the same block.
bool KernelPlan::isNeededBefore(tile::LoadOp load, Operation *later) const {
  const SharedLoad &shared = loads.find(load)->second;
  if (comesThroughShared(load) || !shared.parts.empty() || shared.widened)
    return true; // where it stands
  return llvm::any_of(load->getUsers(), [&](Operation *user) {
    auto dot = dyn_cast<tile::DotOp>(user);
    return dot && (isPreloaded(dot) ||
                   later->getBlock()->findAncestorOpInBlock(*user)->isBeforeInBlock(later));
  });
}

//===- Parts of 1-D tiles ---------------------------------------------------------------------===//

/// The part in which a value comes about, 0 if any will do.
static unsigned naturalPart(Value value, unsigned depth = 0) {
  Operation *op = value.getDefiningOp();
  if (!op || depth > 16)
    return 0;
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return reduce.getAxis() == 1 ? RowPart : ColumnPart;
  if (auto loop = dyn_cast<scf::ForOp>(op)) // that of what the body makes
    return naturalPart(loop.getYieldedValues()[cast<OpResult>(value).getResultNumber()], depth + 1);
  if (isa<tile::LoadOp, tile::IotaOp, tensor::SplatOp, arith::ConstantOp>(op))
    return 0;
  for (Value operand : op->getOperands())
    if (isOneDimensional(operand))
      if (unsigned part = naturalPart(operand, depth + 1))
        return part;
  return 0;
}

/// Adds `parts` to what a value needs; false if it had them.
static bool need(llvm::DenseMap<Value, unsigned> &needed, Value value, unsigned parts) {
  unsigned &known = needed[value];
  const unsigned before = known;
  known |= parts;
  return known != before;
}

void KernelPlan::planParts(func::FuncOp kernel) {
  auto propagate = [&] {
    for (bool changed = true; changed;) {
      changed = false;
      kernel.walk([&](Operation *op) {
        if (auto broadcast = dyn_cast<tile::BroadcastOp>(op)) {
          changed |= need(oneDimensional, broadcast.getValue(),
                          broadcast.getAxis() == 0 ? RowPart : ColumnPart);
          return;
        }
        if (auto loop = dyn_cast<scf::ForOp>(op)) {
          for (size_t i = 0; i < loop.getNumResults(); ++i) {
            if (!isOneDimensional(loop.getResult(i)))
              continue;
            // A carried tile has the parts that its uses in the loop and after it need; what it
            // starts from and what the body yields must have those, and may have others for uses of
            // their own.
            const unsigned parts =
                oneDimensional[loop.getResult(i)] | oneDimensional[loop.getRegionIterArg(i)];
            for (Value place : {Value(loop.getResult(i)), Value(loop.getRegionIterArg(i)),
                                loop.getInitArgs()[i], loop.getYieldedValues()[i]})
              changed |= need(oneDimensional, place, parts);
          }
          return;
        }
        if (op->getNumResults() != 1 || !isOneDimensional(op->getResult(0)) ||
            isa<tile::ReduceOp>(op))
          return;
        for (Value operand : op->getOperands())
          if (isOneDimensional(operand))
            changed |= need(oneDimensional, operand, oneDimensional[op->getResult(0)]);
      });
    }
  };
  propagate();
  // What only a store or a reduction to a scalar takes is left in the part in which it comes about.
  kernel.walk([&](Operation *op) {
    if (!isa<tile::StoreOp, tile::ReduceOp>(op))
      return;
    Value value = op->getOperand(0);
    if (!isOneDimensional(value) || oneDimensional[value])
      return;
    const unsigned natural = naturalPart(value);
    oneDimensional[value] = natural ? natural : ColumnPart;
    propagate();
  });
}

/// What e relies on. Its errors come before anything is emitted.
LogicalResult KernelPlan::checkOperations(func::FuncOp kernel) const {
  const WalkResult result = kernel.walk([&](Operation *op) -> WalkResult {
    if (auto constant = dyn_cast<arith::ConstantOp>(op);
        constant && isa<DenseElementsAttr>(constant.getValue()))
      if (!isa<SplatElementsAttr>(constant.getValue()))
        return op->emitOpError("expects one repeated number"), WalkResult::interrupt();
    if (isa<scf::IfOp>(op) && op->getNumResults())
      return op->emitOpError("expects no results"), WalkResult::interrupt();
    const StringRef dialect = op->getName().getDialectNamespace();
    auto dot = dyn_cast<tile::DotOp>(op);
    if (isa<tile::CumulativeSumOp>(op))
      return op->emitOpError("has no lowering for the GPU, which multiplies by a triangle of ones"),
             WalkResult::interrupt();
    if (auto transpose = dyn_cast<tile::TransposeOp>(op);
        transpose && !transpose.getValue().getType().getElementType().isF32())
      return op->emitOpError("expects a float32 tile on the GPU"), WalkResult::interrupt();
    if (dot && dot.getTransposeA())
      return op->emitOpError(
                 "expects a as it is; the GPU lowering has no product of a transposed a"),
             WalkResult::interrupt();
    if (!isa<tensor::SplatOp, scf::ForOp, scf::IfOp, scf::YieldOp, func::FuncOp, func::ReturnOp>(
            op) &&
        dialect != "tile" && dialect != "arith" && dialect != "math")
      return op->emitOpError("has no lowering for the GPU"), WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

//===- Shared memory --------------------------------------------------------------------------===//

int64_t KernelPlan::scratchBytes(Operation *op) const {
  if (auto reduce = dyn_cast<tile::ReduceOp>(op)) {
    const RankedTensorType type = reduce.getValue().getType();
    if (type.getRank() == 1)
      return 128;
    const unsigned made = reduce.getAxis() == 1 ? RowPart : ColumnPart;
    // last
    const int64_t spread =
        parts(reduce.getResult()) & ~made ? type.getDimSize(1 - reduce.getAxis()) * 4 : 0;
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
  if (auto dot = dyn_cast<tile::DotOp>(op)) // operands that are computed but needed by all warps
    return dot.getB().getDefiningOp<tile::LoadOp>() ? 0 : dot.getB().getType().getNumElements() * 4;
  return 0;
}

/// Gives each load of the block its place from `base` on, then what lies inside, which may use
/// again what is no longer needed. Returns the end of what was used.
int64_t KernelPlan::allocate(Block *block, int64_t base) {
  constexpr int64_t alignment = 128;
  auto place = [&](int64_t &top, int64_t bytes) {
    const int64_t offset = top;
    top += (bytes + alignment - 1) / alignment * alignment;
    return offset;
  };
  auto placeLoad = [&](SharedLoad &load, int64_t &top) {
    load.raw.offset = place(top, load.raw.bytes() * load.stages);
    for (SharedTile &part : load.parts)
      part.offset = place(top, part.bytes());
    if (load.widened)
      load.widened->offset = place(top, load.widened->bytes());
  };
  // A load whose fragments go to registers at once leaves its memory to others, unless it arrives
  // together with them.
  auto isBrief = [](const SharedLoad &load) {
    return load.onlyPreloaded && load.pending == 0 && load.startsWith.size() == 1;
  };
  int64_t kept = base;
  for (Operation &op : *block)
    if (auto found = loads.find(&op); found != loads.end() && !isBrief(found->second))
      placeLoad(found->second, kept);
  int64_t end = kept;
  for (Operation &op : *block) {
    int64_t top = kept;
    if (auto found = loads.find(&op); found != loads.end() && isBrief(found->second))
      placeLoad(found->second, top);
    if (int64_t bytes = scratchBytes(&op))
      scratchRanges[&op].end = (scratchRanges[&op].begin = place(top, bytes)) + bytes;
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        top = std::max(top, allocate(&inner, kept));
    end = std::max(end, top);
  }
  return end;
}

} // namespace nysjit::gpu
