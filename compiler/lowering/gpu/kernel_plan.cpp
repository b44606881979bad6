// The decisions of kernel_plan.h, in the order create() makes them.
#include "compiler/lowering/gpu/kernel_plan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

FailureOr<KernelPlan> KernelPlan::create(func::FuncOp kernel, const KernelOptions &options) {
  // Rows that registers take through shared memory can do without it, dots cannot, but they can
  // take turns, in the end those of one iteration, too.
  struct Attempt {
    bool registersThroughShared;
    bool sharesMemory;
    bool pipelines;
  };
  FailureOr<KernelPlan> last = failure();
  for (const Attempt &attempt : {Attempt{true, false, true},
                                 {false, false, true},
                                 {false, true, true},
                                 {false, true, false}}) {
    if (!attempt.pipelines && options.numStages.value_or(1) > 1)
      break; // the config wants copies under way
    KernelPlan plan;
    plan.options = options;
    plan.registersThroughShared = attempt.registersThroughShared;
    plan.sharesMemory = attempt.sharesMemory;
    plan.pipelines = attempt.pipelines;
    if (failed(plan.decide(kernel)))
      return failure();
    last = plan;
    if (plan.totalShared <= options.sharedLimit)
      break;
  }
  return last;
}

LogicalResult KernelPlan::decide(func::FuncOp kernel) {
  // Warps share rows; a dot's operands go through shared memory; each 1-D tile along what it
  // is needed.
  if (failed(chooseWarps(kernel)) || failed(planDots(kernel)))
    return failure();
  planAlignment(kernel);
  planRegisterLoads(kernel);
  planSpreads(kernel);
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
        if (!WarpRows::isRowCount(type.getDimSize(0)) || type.getDimSize(1) % 8 != 0) {
          op->emitOpError("expects rows by sixteens (or 8) and columns by eights, found ") << type;
          isFine = false;
        }
        if (isa<tile::DotOp>(op))
          tallest = std::max(tallest, type.getDimSize(0));
        if (Load::of(op))
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
  const bool isExactA = isTf32(op.getA());
  const bool isExactB = isTf32(op.getB());
  if (options.input.isF32())
    return options.singleTf32 && !isFull ? DotPlan{Products::Tf32, f32, 1, 1, isExactA, isExactB}
                                         : DotPlan{Products::Tf32x3, f32, 1, 1};
  const bool wideA = op.getA().getType().getElementType().isF32();
  const bool wideB = op.getB().getType().getElementType().isF32();
  if (isFull)
    return {Products::Tf32x3, f32, 1, 1, /*isExactA=*/!wideA, /*isExactB=*/!wideB};
  if (op.getPrecision() == tile::Precision::TwoTerms)
    return {Products::Half, options.input, wideA ? 2 : 1, wideB ? 2 : 1};
  // A float32 operand may lie outside float16's range (landmark values may be 4.2 times the largest
  // value): tf32 has as many bits of mantissa and float32's range.
  if (options.input.isF16() && wideB)
    return {Products::Tf32, f32, 1, 1, isExactA, isExactB};
  return {Products::Half, options.input, 1, 1};
}

bool KernelPlan::isTf32(Value operand) const {
  if (!tileType(operand).getElementType().isF32())
    return true;
  if (operand.getDefiningOp<tile::RoundOperandOp>())
    return options.input.isF16();
  Load load = loadOf(operand);
  const SharedLoad *inShared = load ? shared(load) : nullptr;
  return inShared && inShared->isRounded;
}

Form KernelPlan::form(const DotPlan &plan, Type source) {
  if (plan.products == Products::Half)
    return source.isF32() ? Form::Terms : Form::Raw;
  return source.isF32() ? Form::Raw : Form::Widened;
}

/// Registers of a row operand's fragments, for each 16 rows.
static int64_t fragmentRegisters(const DotPlan &plan, int64_t k) {
  return plan.products == Products::Half ? plan.termsA * ((k + 15) / 16) * 4 : k / 8 * 4;
}

BlockArgument argumentOf(Value view) {
  auto op = view.getDefiningOp<tile::ViewOp>();
  auto base = op ? dyn_cast<BlockArgument>(op.getBase()) : BlockArgument();
  auto kernel = base ? dyn_cast<func::FuncOp>(base.getOwner()->getParentOp()) : func::FuncOp();
  return kernel && kernel.getArgAttr(base.getArgNumber(), "tile.argument") ? base : BlockArgument();
}

/// Registers of a thread for the tiles that the loop around `op` carries.
int64_t KernelPlan::carriedRegisters(Operation *op) const {
  auto loop = op->getParentOfType<LoopLikeOpInterface>();
  int64_t registers = 0;
  if (loop)
    for (Value carried : loop.getRegionIterArgs())
      if (isTwoDimensional(carried)) {
        const RankedTensorType type = tileType(carried);
        registers += warpRows(type.getDimSize(0)).bands * type.getDimSize(1) / 2;
      }
  return registers;
}

/// Row operands that are loaded before the loop of their product stay in registers from there on,
/// where these have room for them: beside what the loop carries and others that are loaded with
/// them, and not beside the results of many products in one block.
void KernelPlan::planPreloads(ArrayRef<RowOperand> operands) {
  constexpr int64_t mostOfOne = 32;
  constexpr int64_t mostInAll = 96;
  struct Results {
    int count = 0;
    int64_t size = 0; // columns times the inner dimension
  };
  llvm::SmallDenseMap<Block *, Results> results;
  llvm::SmallDenseMap<Block *, int64_t> loaded;
  llvm::SmallDenseSet<std::pair<Operation *, int64_t>> known; // by registers: the same fragments
  for (RowOperand operand : operands) {
    Results &beside = results[operand.op->getBlock()];
    ++beside.count;
    beside.size += operand.op.getResult().getType().getDimSize(1) *
                   operand.load.getResult().getType().getDimSize(1);
    if (operand.registers <= mostOfOne && known.insert({operand.load, operand.registers}).second)
      loaded[operand.load->getBlock()] += operand.registers;
  }
  for (RowOperand operand : operands) {
    const Results &beside = results[operand.op->getBlock()];
    if (operand.registers <= mostOfOne && (beside.count <= 2 || beside.size <= 64 * 120) &&
        carriedRegisters(operand.op) + loaded[operand.load->getBlock()] <= mostInAll)
      preloaded.insert(operand.op);
    else
      loads[operand.load].onlyPreloaded = false;
  }
}

LogicalResult KernelPlan::planDots(func::FuncOp kernel) {
  bool isFine = true;
  SmallVector<RowOperand> operands;
  SmallVector<Load> wholeNumbers; // of which some dot reads all bits
  kernel.walk([&](tile::DotOp op) {
    const DotPlan plan = dot(op);
    if (op.getResult().getType().getDimSize(0) % 16 != 0) {
      op.emitOpError("expects a result's rows by sixteens, found ") << op.getResult().getType();
      isFine = false;
    }
    if (!op.getTransposeB() && plan.products == Products::Half &&
        op.getB().getType().getDimSize(0) % 16 != 0) {
      op.emitOpError("expects an inner dimension by sixteens, found ") << op.getB().getType();
      isFine = false;
    }
    for (const auto &[operand, terms] :
         {std::pair(op.getA(), plan.termsA), std::pair(op.getB(), plan.termsB)}) {
      Load load = loadOf(operand);
      if (!load)
        continue;
      SharedLoad &shared = loads[load];
      const RankedTensorType type = load.getResult().getType();
      shared.raw = {0, type.getDimSize(0), type.getDimSize(1), type.getElementTypeBitWidth() / 8};
      const Form needed = form(plan, type.getElementType());
      if (needed == Form::Terms)
        while (static_cast<int>(shared.terms.size()) < terms)
          shared.terms.push_back({0, type.getDimSize(0), type.getDimSize(1), 2});
      if (needed == Form::Raw && type.getElementType().isF32()) {
        shared.isRounded = true;
        if (plan.products != Products::Tf32)
          wholeNumbers.push_back(load);
      }
      if (needed == Form::Widened)
        shared.widened = SharedTile{0, type.getDimSize(0), type.getDimSize(1), 4};
      const bool isRowOperand = operand == op.getA() && operand != op.getB();
      const int64_t registers =
          fragmentRegisters(plan, type.getDimSize(op.getTransposeA() ? 0 : 1)) *
          warpRows(op.getResult().getType().getDimSize(0)).bands;
      const bool isOutside = load->getBlock() != op->getBlock();
      if (isRowOperand && isOutside && plan.products != Products::Tf32x3)
        operands.push_back({op, load, registers});
      else
        shared.onlyPreloaded = false;
    }
  });
  for (Load load : wholeNumbers)
    loads[load].isRounded = false;
  planPreloads(operands);
  return success(isFine);
}

void KernelPlan::planAlignment(func::FuncOp kernel) {
  kernel.walk([&](Operation *op) {
    const Load load = Load::of(op);
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
  kernel.walk([&](Operation *op) {
    const Load load = Load::of(op);
    if (!load || !comesThroughShared(load))
      return;
    const RankedTensorType type = load.getResult().getType();
    SharedLoad &shared = loads[load];
    shared.raw = {0, type.getDimSize(0), type.getDimSize(1), 2};
    shared.onlyPreloaded = false;
  });
}

/// 16-bit rows of arguments: straight to registers they would be four bytes a load, half of what a
/// sector holds.
bool KernelPlan::comesThroughShared(Load load) const {
  const RankedTensorType type = load.getResult().getType();
  return registersThroughShared && type.getRank() == 2 && type.getElementTypeBitWidth() == 16 &&
         isOfArgument(load.getView()) && isUsedInRegisters(load);
}

bool KernelPlan::isUsedInRegisters(Load load) const {
  return llvm::any_of(load->getUses(), [](OpOperand &use) {
    auto dot = dyn_cast<tile::DotOp>(use.getOwner());
    return !dot || dot.getAccumulator() == use.get();
  });
}

//===- Checks ---------------------------------------------------------------------------------===//

bool isArithmeticOnIotas(Value tile) {
  if (!isOneDimensional(tile))
    return !tileType(tile);
  Operation *op = tile.getDefiningOp();
  return isa_and_nonnull<tile::IotaOp, tensor::SplatOp>(op) ||
         (op && isa<arith::ArithDialect>(op->getDialect()) &&
          llvm::all_of(op->getOperands(), isArithmeticOnIotas));
}

/// What KernelEmitter relies on. Its errors come before anything is emitted.
LogicalResult KernelPlan::checkOperations(func::FuncOp kernel) const {
  const WalkResult result = kernel.walk([&](Operation *op) -> WalkResult {
    if (auto constant = dyn_cast<arith::ConstantOp>(op);
        constant && isa<DenseElementsAttr>(constant.getValue()))
      if (!isa<SplatElementsAttr>(constant.getValue()))
        return op->emitOpError("expects one repeated number"), WalkResult::interrupt();
    if (isa<scf::IfOp>(op) && op->getNumResults())
      return op->emitOpError("expects no results"), WalkResult::interrupt();
    const StringRef dialect = op->getName().getDialectNamespace();
    if (auto gather = dyn_cast<tile::GatherOp>(op);
        gather && !isArithmeticOnIotas(gather.getRows()))
      return op->emitOpError("expects rows computed from iotas and numbers by integer arithmetic"),
             WalkResult::interrupt();
    if (auto transpose = dyn_cast<tile::TransposeOp>(op);
        transpose && !transpose.getValue().getType().getElementType().isF32())
      return op->emitOpError("expects a float32 tile on the GPU"), WalkResult::interrupt();
    const bool isKnown = isa<tensor::SplatOp, scf::ForOp, scf::WhileOp, scf::ConditionOp, scf::IfOp,
                             scf::YieldOp, func::FuncOp, func::ReturnOp>(op) ||
                         dialect == "tile" || dialect == "arith" || dialect == "math";
    if (!isKnown || isa<tile::ScaleRowsOp>(op)) // which only a rewrite of the CPU's makes
      return op->emitOpError("has no lowering for the GPU"), WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

} // namespace nysjit::gpu
