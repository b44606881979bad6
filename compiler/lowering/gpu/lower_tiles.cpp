// The walk over a kernel: scalars as they are, tiles register by register.
#include "compiler/lowering/gpu/lower_tiles.h"

#include "compiler/lowering/expand_masks.h"
#include "compiler/lowering/forget_roundings.h"
#include "compiler/lowering/gpu/kernel_emitter.h"
#include "compiler/lowering/gpu/rewrites.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
namespace nysjit::gpu {

KernelEmitter::KernelEmitter(func::FuncOp source, const KernelPlan &plan,
                             const KernelOptions &options)
    : source(source), plan(plan), options(options),
      e{OpBuilder(source.getContext()), source.getLoc()} {}

void KernelEmitter::run(StringRef name) {
  OpBuilder &b = e.builder;
  b.setInsertionPoint(source);
  const Type pointer = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> types;
  for (BlockArgument argument : source.getArguments())
    types.push_back(isa<tile::PointerType>(argument.getType()) ? pointer : argument.getType());
  auto kernel = func::FuncOp::create(b, e.loc, name, b.getFunctionType(types, {}));
  kernel->setAttr("tile.threads", b.getI32IntegerAttr(static_cast<int32_t>(plan.threads())));
  Block *entry = kernel.addEntryBlock();
  b.setInsertionPointToStart(entry);
  for (BlockArgument argument : source.getArguments())
    scalars.map(argument, entry->getArgument(argument.getArgNumber()));
  sharedBase = LLVM::AddressOfOp::create(b, e.loc, LLVM::LLVMPointerType::get(b.getContext(), 3),
                                         "nysjit_shared");
  thread = e.threadId();
  lane = e.bitAnd(thread, 31);
  // The same for a warp's lanes: said through lane 0, the assembler keeps what follows from it in
  // uniform registers.
  warp = plan.numWarps() == 1 ? e.i32(0)
                              : e.intrinsic("llvm.nvvm.shfl.sync.idx.i32", e.i32Type(),
                                            {e.i32(-1), e.divide(thread, 32), e.i32(0), e.i32(31)});
  laneRow = e.divide(lane, 4);
  laneColumn = e.mul(e.bitAnd(lane, 3), 2);
  Block &body = source.getBody().front();
  if (options.mayOverlap) // a kernel that touches nothing waits before it ends
    waitBefore = &*llvm::find_if(body, [](Operation &op) {
      return !isMemoryEffectFree(&op) || op.hasTrait<OpTrait::IsTerminator>();
    });
  emitBlock(&body);
  func::ReturnOp::create(b, source.getLoc());
}

//===- Values ---------------------------------------------------------------------------------===//

SmallVector<Value> &KernelEmitter::registersOf(Value tile, unsigned spread) {
  return registers[{tile, spread}];
}

void KernelEmitter::setRegisters(Value tile, Registers values, unsigned spread) {
  registers[{tile, spread}] = SmallVector<Value>(values.begin(), values.end());
}

/// How registers hold a value: in one way, 0, but for 1-D tiles, which lie there in each spread
/// that is needed.
SmallVector<unsigned> KernelEmitter::spreadsOf(Value value) const {
  if (!isOneDimensional(value))
    return {0};
  SmallVector<unsigned> all;
  for (unsigned spread : {OverRows, OverColumns})
    if (plan.spreads(value) & spread)
      all.push_back(spread);
  return all;
}

size_t KernelEmitter::registerCount(RankedTensorType type, unsigned spread) const {
  const int64_t length = type.getDimSize(0);
  if (spread == 0)
    return plan.warpRows(length).rowRegisters() * type.getDimSize(1) / 4;
  if (spread == OverRows)
    return plan.warpRows(length).rowRegisters();
  return length == 1 ? 1 : length / 4;
}

Value KernelEmitter::firstRow(const WarpRows &warpRows) {
  if (warpRows.warps == 1)
    return e.i32(0);
  Value index = warpRows.warps == plan.numWarps() ? warp : e.bitAnd(warp, warpRows.warps - 1);
  return e.mul(index, warpRows.bands * 16);
}

//===- Operations -----------------------------------------------------------------------------===//

void KernelEmitter::emitBlock(Block *block) {
  for (Operation &op : *block) {
    e.loc = op.getLoc();
    if (&op == waitBefore) {
      e.intrinsic("llvm.nvvm.griddepcontrol.wait", {}, {});
      // which then has this launch alone to wait for
      e.intrinsic("llvm.nvvm.griddepcontrol.launch.dependents", {}, {});
    }
    emitOperation(&op);
  }
}

void KernelEmitter::emitOperation(Operation *op) {
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitFor(loop);
  if (auto loop = dyn_cast<scf::WhileOp>(op))
    return emitWhile(loop);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return emitIf(branch);
  if (isa<scf::YieldOp, scf::ConditionOp, func::ReturnOp>(op))
    return;
  if (const Load load = Load::of(op))
    return emitLoad(load);
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return emitStore(store);
  if (auto view = dyn_cast<tile::ViewOp>(op))
    return emitView(view);
  if (auto dot = dyn_cast<tile::DotOp>(op))
    return emitDot(dot);
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return emitReduce(reduce);
  if (auto transpose = dyn_cast<tile::TransposeOp>(op))
    return emitTranspose(transpose);
  if (auto solve = dyn_cast<tile::TriangularSolveOp>(op))
    return emitSolve(solve);
  if (auto broadcast = dyn_cast<tile::BroadcastOp>(op))
    return emitBroadcast(broadcast);
  if (auto rounding = dyn_cast<tile::RoundOperandOp>(op))
    return emitRounding(rounding);
  if (auto iota = dyn_cast<tile::IotaOp>(op))
    return emitIota(iota);
  if (isa<tile::SyncOp>(op)) // a barrier where a load needs it
    return underWay.synced.insert(underWay.stored.begin(), underWay.stored.end());
  if (auto load = dyn_cast<tile::LoadScalarOp>(op))
    return scalars.map(load.getResult(), loadScalar(load));
  if (isa<tile::CellIdOp>(op))
    return scalars.map(op->getResult(0), e.blockId());
  if (op->getNumResults() == 1 && tileType(op->getResult(0)))
    return emitElementwise(op);
  // A scalar operation.
  if (isa<math::Exp2Op, math::Log2Op, arith::DivFOp>(op)) {
    const SmallVector<Value> operands = llvm::map_to_vector(
        op->getOperands(), [&](Value operand) { return scalars.lookup(operand); });
    scalars.map(op->getResult(0), emitElement(op, operands));
    return;
  }
  e.builder.clone(*op, scalars);
}

void KernelEmitter::emitView(tile::ViewOp view) {
  const tile::ViewType type = view.getResult().getType();
  const int64_t bytes = type.getElement().getIntOrFloatBitWidth() / 8;
  views[view] = {
      e.offset(scalars.lookup(view.getBase()), e.mul(scalars.lookup(view.getOffset()), bytes)),
      scalars.lookup(view.getLength()),
      e.mul(scalars.lookup(view.getRowStride()), bytes),
      type.getElement(),
      type.getColumns(),
      isOfArgument(view),
      view.getStrided()};
}

/// One element of an elementwise operation.
Value KernelEmitter::emitElement(Operation *op, ValueRange operands) {
  if (isa<math::Exp2Op>(op))
    return e.exp2(operands[0]);
  if (isa<math::Log2Op>(op))
    return e.log2(operands[0]);
  if (isa<arith::DivFOp>(op))
    return e.divideFloats(operands[0], operands[1]);
  Type element = op->getResult(0).getType();
  if (auto tile = dyn_cast<RankedTensorType>(element))
    element = tile.getElementType();
  OperationState state(e.loc, op->getName(), operands, {element}, op->getAttrs());
  state.propertiesAttr = op->getPropertiesAsAttribute();
  return e.builder.create(state)->getResult(0);
}

void KernelEmitter::emitElementwise(Operation *op) {
  Value result = op->getResult(0);
  const RankedTensorType type = tileType(result);
  for (unsigned spread : spreadsOf(result)) {
    const size_t count = registerCount(type, spread);
    Registers values;
    // What repeats one scalar.
    if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
      values.assign(count, scalars.lookup(splat.getInput()));
    } else if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto repeated = cast<SplatElementsAttr>(constant.getValue());
      values.assign(
          count, arith::ConstantOp::create(e.builder, e.loc, repeated.getSplatValue<TypedAttr>()));
    } else if (isa<arith::ExtFOp>(op)) { // 16-bit tiles are float32 in registers
      llvm::append_range(values, registersOf(op->getOperand(0), spread));
    } else {
      // a b + c in one rounding where the product has no other use. A difference is of rounded
      // numbers: a logit must be the number that its row's maximum was taken of, perhaps by another
      // kernel, for at scores of 1e20 half a unit in the last place is 1e12.
      auto product = [&](Value operand) {
        auto mul = operand.getDefiningOp<arith::MulFOp>();
        return mul && operand.hasOneUse() && tileType(operand).getElementType().isF32()
                   ? mul
                   : arith::MulFOp();
      };
      arith::MulFOp fused = isa<arith::AddFOp>(op) ? product(op->getOperand(0)) : arith::MulFOp();
      for (size_t i = 0; i < count; ++i) {
        SmallVector<Value> operands;
        for (Value operand : op->getOperands())
          operands.push_back(tileType(operand) ? registersOf(operand, spread)[i]
                                               : scalars.lookup(operand));
        values.push_back(fused ? e.fma(registersOf(fused.getLhs(), spread)[i],
                                       registersOf(fused.getRhs(), spread)[i], operands[1])
                               : emitElement(op, operands));
      }
    }
    setRegisters(result, values, spread);
  }
}

void KernelEmitter::emitBroadcast(tile::BroadcastOp op) {
  const RankedTensorType type = tileType(op.getResult());
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const bool isRow = op.getAxis() == 0;
  ArrayRef<Value> line = registersOf(op.getValue(), isRow ? OverRows : OverColumns);
  Registers values;
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t piece = 0; piece < type.getDimSize(1) / 8; ++piece)
      for (int64_t element = 0; element < 2 * warpRows.halves; ++element)
        values.push_back(isRow ? line[band * warpRows.halves + element / 2]
                               : line[piece * 2 + element % 2]);
  setRegisters(op.getResult(), values);
}

/// To bfloat16, or to tf32, which has float16's mantissa and no end where counts of positions are.
void KernelEmitter::emitRounding(tile::RoundOperandOp op) {
  const SmallVector<Value> values = registersOf(op.getValue());
  Registers rounded;
  if (options.input.isBF16())
    for (size_t i = 0; i < values.size(); i += 2) {
      const auto [low, high] = e.rounded(options.input, values[i], values[i + 1]);
      rounded.append({low, high});
    }
  else
    for (Value value : roundedTf32(values))
      rounded.push_back(e.bitcast(e.f32Type(), value));
  setRegisters(op.getResult(), rounded);
}

void KernelEmitter::emitIota(tile::IotaOp op) {
  const int64_t length = tileType(op.getResult()).getDimSize(0);
  const unsigned spreads = plan.spreads(op.getResult());
  if (spreads & OverRows) {
    const WarpRows warpRows = plan.warpRows(length);
    Value first = e.add(firstRow(warpRows), laneRow);
    Registers values;
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half)
        values.push_back(e.add(first, band * 16 + half * 8));
    setRegisters(op.getResult(), values, OverRows);
  }
  if (spreads & OverColumns) {
    Registers values;
    for (int64_t piece = 0; piece < length / 8; ++piece)
      for (int64_t element = 0; element < 2; ++element)
        values.push_back(e.add(laneColumn, piece * 8 + element));
    setRegisters(op.getResult(), values, OverColumns);
  }
}

//===- Kernels --------------------------------------------------------------------------------===//

LogicalResult lowerTiles(ModuleOp module,
                         const std::function<KernelOptions(const std::string &)> &optionsOf,
                         std::vector<LoweredKernel> &lowered) {
  OpBuilder b(module.getContext());
  b.setInsertionPointToStart(module.getBody());
  const Type bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
  LLVM::GlobalOp::create(b, module.getLoc(), bytes, /*isConstant=*/false, LLVM::Linkage::External,
                         "nysjit_shared", Attribute(),
                         /*alignment=*/128, /*addrSpace=*/3);
  SmallVector<func::FuncOp> kernels;
  module.walk([&](func::FuncOp function) {
    if (function->hasAttr("tile.kernel"))
      kernels.push_back(function);
  });
  for (func::FuncOp kernel : kernels) {
    LoweredKernel result{kernel.getName().str(), ""};
    KernelOptions options = optionsOf(result.name);
    options.aligned = true;
    forgetDotMasks(kernel);
    if (options.input.isF32() && !options.singleTf32)
      forgetRoundings(kernel);
    const bool hasMasks = expandMasks(kernel);
    const bool hasSums = expandSums(kernel);
    if (hasMasks || hasSums) { // several of them start from the same numbers
      IRRewriter rewriter(kernel.getContext());
      DominanceInfo dominance(kernel);
      eliminateCommonSubExpressions(rewriter, dominance, kernel);
    }
    FailureOr<KernelPlan> plan = KernelPlan::create(kernel, options);
    if (failed(plan))
      return failure();
    result.threads = plan->threads();
    result.sharedBytes = plan->sharedBytes();
    result.numWarps = plan->numWarps();
    result.numStages = plan->numStages();
    if (plan->sharedBytes() <= options.sharedLimit) {
      kernel.setName((kernel.getName() + "_tiles").str());
      KernelEmitter(kernel, *plan, options).run(result.name);
      result.alignedParameters.assign(plan->alignedParameters().begin(),
                                      plan->alignedParameters().end());
      if (!result.alignedParameters.empty()) {
        options.aligned = false;
        result.unaligned = result.name + "_unaligned";
        KernelEmitter(kernel, *plan, options).run(result.unaligned);
      }
      kernel.erase();
    }
    lowered.push_back(result);
  }
  return success();
}

} // namespace nysjit::gpu
