// The walk over a kernel: scalars as they are, tiles register by register, loops with their copies under way.
#include "compiler/gpu/lower_tiles.h"

#include "compiler/gpu/kernel_emitter.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

KernelEmitter::KernelEmitter(func::FuncOp source, const KernelPlan &plan, const KernelOptions &options)
    : source(source), plan(plan), options(options), e{OpBuilder(source.getContext()), source.getLoc()} {}

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
  sharedBase = LLVM::AddressOfOp::create(b, e.loc, LLVM::LLVMPointerType::get(b.getContext(), 3), "nysjit_shared");
  thread = e.threadId();
  lane = e.bitAnd(thread, 31);
  // The same for a warp's lanes: said through lane 0, the assembler keeps what follows from it in uniform registers.
  warp = plan.numWarps() == 1 ? e.i32(0)
                              : e.intrinsic("llvm.nvvm.shfl.sync.idx.i32", e.i32Type(), {e.i32(-1), e.divide(thread, 32), e.i32(0), e.i32(31)});
  laneRow = e.divide(lane, 4);
  laneColumn = e.mul(e.bitAnd(lane, 3), 2);
  Block &body = source.getBody().front();
  if (options.mayOverlap) // a kernel that touches nothing waits before it ends
    waitBefore = &*llvm::find_if(body, [](Operation &op) { return !isMemoryEffectFree(&op) || op.hasTrait<OpTrait::IsTerminator>(); });
  emitBlock(&body);
  func::ReturnOp::create(b, source.getLoc());
}

//===- Values ---------------------------------------------------------------------------------------------------===//

SmallVector<Value> &KernelEmitter::registersOf(Value tile, unsigned part) { return registers[{tile, part}]; }

void KernelEmitter::setRegisters(Value tile, Registers values, unsigned part) {
  registers[{tile, part}] = SmallVector<Value>(values.begin(), values.end());
}

Value KernelEmitter::firstRow(const RowSplit &split) {
  if (split.warps == 1)
    return e.i32(0);
  Value index = split.warps == plan.numWarps() ? warp : e.bitAnd(warp, split.warps - 1);
  return e.mul(index, split.blocks * 16);
}

//===- Operations -----------------------------------------------------------------------------------------------===//

void KernelEmitter::emitBlock(Block *block) {
  for (Operation &op : *block) {
    e.loc = op.getLoc();
    if (&op == waitBefore) {
      e.intrinsic("llvm.nvvm.griddepcontrol.wait", {}, {});
      e.intrinsic("llvm.nvvm.griddepcontrol.launch.dependents", {}, {}); // which then has this launch alone to wait for
    }
    emitOperation(&op);
  }
}

void KernelEmitter::emitOperation(Operation *op) {
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitFor(loop);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return emitIf(branch);
  if (isa<scf::YieldOp, func::ReturnOp>(op))
    return;
  if (auto load = dyn_cast<tile::LoadOp>(op))
    return emitLoad(load);
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return emitStore(store);
  if (auto view = dyn_cast<tile::ViewOp>(op))
    return emitView(view);
  if (auto dot = dyn_cast<tile::DotOp>(op))
    return emitDot(dot);
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return emitReduce(reduce);
  if (auto solve = dyn_cast<tile::TriangularSolveOp>(op))
    return emitSolve(solve);
  if (auto broadcast = dyn_cast<tile::BroadcastOp>(op))
    return emitBroadcast(broadcast);
  if (auto iota = dyn_cast<tile::IotaOp>(op))
    return emitIota(iota);
  if (isa<tile::SyncOp>(op)) // a barrier where a load needs it
    return underWay.synced.insert(underWay.stored.begin(), underWay.stored.end());
  if (auto load = dyn_cast<tile::LoadScalarOp>(op))
    return scalars.map(load.getResult(), loadScalar(load));
  if (isa<tile::ProgramIdOp>(op))
    return scalars.map(op->getResult(0), e.blockId());
  if (op->getNumResults() == 1 && tileType(op->getResult(0)))
    return emitElementwise(op);
  // A scalar operation.
  if (isa<math::Exp2Op, math::Log2Op, arith::DivFOp>(op)) {
    const SmallVector<Value> operands = llvm::map_to_vector(op->getOperands(), [&](Value operand) { return scalars.lookup(operand); });
    scalars.map(op->getResult(0), emitElement(op, operands));
    return;
  }
  e.builder.clone(*op, scalars);
}

void KernelEmitter::emitView(tile::ViewOp view) {
  const tile::ViewType type = view.getResult().getType();
  const int64_t bytes = type.getElement().getIntOrFloatBitWidth() / 8;
  views[view] = {e.offset(scalars.lookup(view.getBase()), e.mul(scalars.lookup(view.getOffset()), bytes)), scalars.lookup(view.getLength()),
                 e.mul(scalars.lookup(view.getRowStride()), bytes), type.getElement(), type.getColumns(), isOfArgument(view)};
}

/// One element of an elementwise operation.
Value KernelEmitter::emitElement(Operation *op, ValueRange operands) {
  if (isa<math::Exp2Op>(op))
    return e.exp2(operands[0]);
  if (isa<math::Log2Op>(op))
    return e.log2(operands[0]);
  if (isa<arith::DivFOp>(op))
    return e.divide32(operands[0], operands[1]);
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
  SmallVector<unsigned> forms;
  if (type.getRank() == 2)
    forms.push_back(0);
  else
    for (unsigned part : {RowPart, ColumnPart})
      if (plan.parts(result) & part)
        forms.push_back(part);
  for (unsigned form : forms) {
    size_t count = 0;
    if (form == 0)
      count = plan.split(type.getDimSize(0)).rowRegisters() * type.getDimSize(1) / 4;
    else
      count = form == RowPart ? plan.split(type.getDimSize(0)).rowRegisters() : type.getDimSize(0) / 4;
    if (form == ColumnPart && type.getDimSize(0) == 1)
      count = 1;
    Registers values;
    // What repeats one scalar.
    if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
      values.assign(count, scalars.lookup(splat.getInput()));
    } else if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto repeated = cast<SplatElementsAttr>(constant.getValue());
      values.assign(count, arith::ConstantOp::create(e.builder, e.loc, repeated.getSplatValue<TypedAttr>()));
    } else if (isa<arith::ExtFOp>(op)) { // 16-bit tiles are float32 in registers
      llvm::append_range(values, registersOf(op->getOperand(0), form));
    } else {
      // a b + c in one rounding where the product has no other use. A softmax's logit has one, the maximum, and must be the
      // same rounded number in both: at scores of 1e20 half a unit in the last place is 1e12.
      auto product = [&](Value operand) {
        auto mul = operand.getDefiningOp<arith::MulFOp>();
        return mul && operand.hasOneUse() && tileType(operand).getElementType().isF32() ? mul : arith::MulFOp();
      };
      arith::MulFOp fused = isa<arith::AddFOp, arith::SubFOp>(op) ? product(op->getOperand(0)) : arith::MulFOp();
      for (size_t i = 0; i < count; ++i) {
        SmallVector<Value> operands;
        for (Value operand : op->getOperands())
          operands.push_back(tileType(operand) ? registersOf(operand, form)[i] : scalars.lookup(operand));
        if (fused) {
          Value other = isa<arith::SubFOp>(op) ? e.negate(operands[1]) : operands[1];
          values.push_back(e.fma(registersOf(fused.getLhs(), form)[i], registersOf(fused.getRhs(), form)[i], other));
        } else {
          values.push_back(emitElement(op, operands));
        }
      }
    }
    setRegisters(result, values, form);
  }
}

void KernelEmitter::emitBroadcast(tile::BroadcastOp op) {
  const RankedTensorType type = tileType(op.getResult());
  const RowSplit split = plan.split(type.getDimSize(0));
  const bool isRow = op.getAxis() == 0;
  ArrayRef<Value> part = registersOf(op.getValue(), isRow ? RowPart : ColumnPart);
  Registers values;
  for (int64_t block = 0; block < split.blocks; ++block)
    for (int64_t piece = 0; piece < type.getDimSize(1) / 8; ++piece)
      for (int64_t element = 0; element < 2 * split.halves; ++element)
        values.push_back(isRow ? part[block * split.halves + element / 2] : part[piece * 2 + element % 2]);
  setRegisters(op.getResult(), values);
}

void KernelEmitter::emitIota(tile::IotaOp op) {
  const int64_t length = tileType(op.getResult()).getDimSize(0);
  const unsigned parts = plan.parts(op.getResult());
  if (parts & RowPart) {
    const RowSplit split = plan.split(length);
    Value first = e.add(firstRow(split), laneRow);
    Registers values;
    for (int64_t block = 0; block < split.blocks; ++block)
      for (int64_t half = 0; half < split.halves; ++half)
        values.push_back(e.add(first, block * 16 + half * 8));
    setRegisters(op.getResult(), values, RowPart);
  }
  if (parts & ColumnPart) {
    Registers values;
    for (int64_t piece = 0; piece < length / 8; ++piece)
      for (int64_t element = 0; element < 2; ++element)
        values.push_back(e.add(laneColumn, piece * 8 + element));
    setRegisters(op.getResult(), values, ColumnPart);
  }
}

//===- Loops and branches ---------------------------------------------------------------------------------------===//

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
static void forCarried(const KernelPlan &plan, scf::ForOp loop, llvm::function_ref<void(size_t index, unsigned form)> visit) {
  for (size_t i = 0; i < loop.getNumResults(); ++i)
    for (unsigned form : carriedForms(plan, loop.getResult(i)))
      visit(i, form);
}

void KernelEmitter::emitFor(scf::ForOp loop) {
  const Location loc = e.loc;
  const PipelinedLoop *pipeline = plan.pipelined(loop);
  Value lower = scalars.lookup(loop.getLowerBound()), upper = scalars.lookup(loop.getUpperBound()), step = scalars.lookup(loop.getStep());

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

  // A turn starts with what is under way before the loop or at the end of a turn, which only the turn itself can tell: if that
  // is more than it was emitted for, once more. A pipelined loop's turns start with a barrier.
  const UnderWay before = underWay;
  scf::ForOp lowered;
  for (UnderWay start = before;; start.add(underWay), lowered.erase()) {
    underWay = start;
    lowered = emitTurns(loop, lower, upper, step, initial);
    if (pipeline || start.covers(underWay))
      break;
  }
  underWay.add(before);

  size_t next = 0;
  forCarried(plan, loop, [&](size_t i, unsigned form) {
    Value result = loop.getResult(i);
    if (!tileType(result)) {
      scalars.map(result, lowered.getResult(next++));
      return;
    }
    Registers values;
    for (size_t count = registersOf(loop.getInitArgs()[i], form).size(); count--;)
      values.push_back(lowered.getResult(next++));
    setRegisters(result, values, form);
  });
}

/// The loop itself. Of a pipelined one, the last of `initial` is the stage in use.
scf::ForOp KernelEmitter::emitTurns(scf::ForOp loop, Value lower, Value upper, Value step, ValueRange initial) {
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
  size_t next = 0;
  forCarried(plan, loop, [&](size_t i, unsigned form) {
    Value argument = loop.getRegionIterArg(i);
    if (!tileType(argument)) {
      scalars.map(argument, lowered.getRegionIterArg(next++));
      return;
    }
    Registers values;
    for (size_t count = registersOf(loop.getInitArgs()[i], form).size(); count--;)
      values.push_back(lowered.getRegionIterArg(next++));
    setRegisters(argument, values, form);
  });
  Value slot;
  if (pipeline) {
    slot = lowered.getRegionIterArg(next);
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
    yielded.push_back(pipeline->stages == 1 ? slot : e.select(e.equal(following, pipeline->stages), e.i32(0), following));
  }
  if (!initial.empty())
    scf::YieldOp::create(b, loc, yielded);
  return lowered;
}

/// The head of an iteration: this one's copies have arrived for all warps, and all warps are done with the stage that the
/// copies of a later iteration now fill.
void KernelEmitter::emitPipelinedBody(scf::ForOp loop, const PipelinedLoop &pipeline, Value induction, Value upper, Value step, Value slot) {
  const Location loc = e.loc;
  const int ahead = pipeline.stages - 1;
  const bool isAsynchronous = anyIsAsynchronous(pipeline);
  if (ahead > 0 && isAsynchronous)
    e.waitForCopies(ahead - 1);
  barrier();
  Value later = e.add(induction, e.mul(step, ahead));
  Value filled = ahead == 0 ? Value() : e.select(e.equal(slot, 0), e.i32(ahead), e.add(slot, -1)); // (slot + stages - 1) % stages
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
  auto lowered = scf::IfOp::create(e.builder, e.loc, scalars.lookup(branch.getCondition()), !branch.getElseRegion().empty());
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

//===- Kernels --------------------------------------------------------------------------------------------------===//

LogicalResult lowerTiles(ModuleOp module, const std::function<KernelOptions(const std::string &)> &optionsOf, std::vector<LoweredKernel> &lowered) {
  OpBuilder b(module.getContext());
  b.setInsertionPointToStart(module.getBody());
  const Type bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
  LLVM::GlobalOp::create(b, module.getLoc(), bytes, /*isConstant=*/false, LLVM::Linkage::External, "nysjit_shared", Attribute(),
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
      result.alignedParameters.assign(plan->alignedParameters().begin(), plan->alignedParameters().end());
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
