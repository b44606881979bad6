// Tiles from global to shared memory, 16 bytes a copy, and from one form to another within shared
// memory.
#include "compiler/lowering/gpu/kernel_emitter.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

/// Chunks of 16-bit numbers a thread copies through registers at once. ptxas would fetch all there
/// are, eight registers each, and spill.
constexpr int64_t chunksThroughRegisters = 4;

//===- Addresses ------------------------------------------------------------------------------===//

Value KernelEmitter::swizzledChunk(const SharedTile &tile, Value row, Value chunk) {
  if (!tile.swizzleBits())
    return chunk;
  Value bits = tile.swizzleShift()
                   ? arith::ShRUIOp::create(e.builder, e.loc, row, e.i32(tile.swizzleShift()))
                   : row;
  return e.bitXor(chunk, e.bitAnd(bits, tile.swizzleMask()));
}

Value KernelEmitter::swizzled(const SharedTile &tile, Value row, Value chunk) {
  return e.add(e.mul(row, tile.rowBytes()), e.mul(swizzledChunk(tile, row, chunk), 16));
}

/// What is the same for all chunks first. A constant's high bits do not meet the swizzle: they come
/// last, as part of the instruction, so that few addresses are kept.
Value KernelEmitter::chunkAddress(const SharedTile &tile, Value base, Value row, Value laneChunk,
                                  Value chunk) {
  const std::optional<int64_t> known = getConstantIntValue(chunk);
  const int64_t low = known ? *known & tile.swizzleMask() : 0;
  Value place = e.bitXor(swizzledChunk(tile, row, laneChunk), known ? e.i32(low) : chunk);
  return e.offset(e.offset(base, e.add(e.mul(row, tile.rowBytes()), e.mul(place, 16))),
                  known ? (*known - low) * 16 : 0);
}

//===- Copies ---------------------------------------------------------------------------------===//

bool KernelEmitter::isAsynchronous(Load load) {
  return options.aligned || !views[load.getView()].isArgument;
}

/// Each thread takes numbers thread, thread + threads, ... below `count`, so many `atOnce`. Their
/// addresses have nothing in common: kept through a loop they would take more registers than there
/// are.
void KernelEmitter::forEachChunk(int64_t count, int64_t atOnce,
                                 llvm::function_ref<void(Value index)> body) {
  Value first = e.threadIdHere();
  for (int64_t start = 0; start < count; start += plan.threads()) {
    if (start && start / plan.threads() % atOnce == 0)
      e.warpBarrier();
    Value index = e.add(first, start);
    if (start + plan.threads() <= count)
      body(index);
    else
      e.when(e.less(index, e.i32(count)), [&] { body(index); });
  }
}

/// A value of the loop body for the iteration that `scalars` holds, its arithmetic emitted anew.
static Value valueInIteration(WarpBuilder &e, IRMapping &scalars, Value value, Region *body) {
  if (Value known = scalars.lookupOrNull(value))
    if (value.getParentRegion() != body || isa<BlockArgument>(value))
      return known;
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    valueInIteration(e, scalars, operand, body);
  return e.builder.clone(*op, scalars)->getResult(0);
}

/// Within a loop a number of its own, or the addresses of all the loop's copies would be computed,
/// and kept, before it.
Value KernelEmitter::threadAt(Operation *op) {
  const bool isInLoop = op->getParentOfType<scf::ForOp>() || op->getParentOfType<scf::WhileOp>();
  return isInLoop ? e.threadIdHere() : thread;
}

Value KernelEmitter::numberAt(Value rows, Value place, Region *ahead) {
  DenseMap<Value, Value> known;
  auto emit = [&](auto &&self, Value value) -> Value {
    if (!tileType(value))
      return ahead ? valueInIteration(e, scalars, value, ahead) : scalars.lookup(value);
    if (Value emitted = known.lookup(value))
      return emitted;
    Operation *op = value.getDefiningOp();
    Value number = place; // an iota's
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      const auto repeated = cast<SplatElementsAttr>(constant.getValue());
      number = arith::ConstantOp::create(e.builder, e.loc, repeated.getSplatValue<TypedAttr>());
    } else if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
      number = self(self, splat.getInput());
    } else if (!isa<tile::IotaOp>(op)) {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands())
        operands.push_back(self(self, operand));
      number = emitElement(op, operands);
    }
    known[value] = number;
    return number;
  };
  return emit(emit, rows);
}

void KernelEmitter::startCopy(Load load, Region *ahead, Value stage) {
  const SharedTile &tile = plan.shared(load)->raw;
  const MemoryView &view = views[load.getView()];
  // The first, but of a gather.
  Value row = load.isGather() ? Value() : numberAt(load.getRow(), /*place=*/Value(), ahead);
  auto rowOf = [&](Value tileRow) {
    return row ? e.add(row, tileRow) : numberAt(load.getRow(), tileRow, ahead);
  };
  Value to = sharedAddress(tile.offset);
  if (stage)
    to = e.offset(to, e.mul(stage, tile.bytes()));
  // Where a thread reads in the view's first rows stays what it is in all iterations: the tile's
  // row comes last.
  Value rowOffset = row ? e.mul(e.widen(row), view.rowBytes) : Value();
  auto addressOf = [&](Value tileRow, Value chunk) {
    Value fixed = row ? tileRow : rowOf(tileRow);
    Value address =
        e.offset(e.offset(view.address, e.mul(e.widen(fixed), view.rowBytes)), e.mul(chunk, 16));
    return row ? e.offset(address, rowOffset) : address;
  };
  auto copy = [&](Value shared, Value global, Value tileRow) {
    Value inside = load.getInBounds() ? Value() : e.below(rowOf(tileRow), view.length);
    if (isAsynchronous(load))
      e.copyAsync(shared, global, inside ? e.select(inside, e.i32(16), e.i32(0)) : Value());
    else
      copyElements(shared, global, inside, tile.elementBytes);
  };
  const int64_t count = tile.rows * tile.chunks();
  const bool isThroughMany = !isAsynchronous(load) && tile.elementBytes == 2;
  const int64_t atOnce = isThroughMany ? chunksThroughRegisters : count;
  const int64_t threads = plan.threads();
  const int64_t rowStep = threads / tile.chunks();
  if (threads % tile.chunks() != 0 || count % threads != 0) {
    forEachChunk(count, atOnce, [&](Value index) {
      Value tileRow = e.divide(index, tile.chunks());
      Value chunk = e.remainder(index, tile.chunks());
      copy(e.offset(to, swizzled(tile, tileRow, chunk)), addressOf(tileRow, chunk), tileRow);
    });
    return;
  }
  // A thread keeps its chunk and steps down the rows; every eight rows the swizzle is the same
  // again. Of copies through many registers no address is kept from one iteration to the next.
  Value own = isThroughMany ? e.threadIdHere() : copier;
  Value first = e.divide(own, tile.chunks());
  Value chunk = e.remainder(own, tile.chunks());
  Value global = addressOf(first, chunk);
  Value globalStep = e.mul(view.rowBytes, rowStep);
  const int64_t period = rowStep % 8 == 0 ? 1 : 8 / std::min<int64_t>(8, rowStep & -rowStep);
  SmallVector<Value> places;
  for (int64_t i = 0; i * threads < count; ++i) {
    if (i && i % atOnce == 0)
      e.warpBarrier();
    Value tileRow = e.add(first, i * rowStep);
    places.push_back(i < period ? e.offset(to, swizzled(tile, tileRow, chunk))
                                : e.offset(places[i - period], period * rowStep * tile.rowBytes()));
    if (i)
      global = row ? e.offset(global, globalStep) : addressOf(tileRow, chunk);
    copy(places.back(), global, tileRow);
  }
}

/// The same for rows that start anywhere: through registers, element by element. `inside` null: it
/// is.
void KernelEmitter::copyElements(Value shared, Value global, Value inside, int64_t elementBytes) {
  const Type word = e.builder.getIntegerType(elementBytes * 8);
  Value zero = arith::ConstantOp::create(e.builder, e.loc, e.builder.getIntegerAttr(word, 0));
  auto loadWords = [&] {
    Registers loaded;
    for (int64_t i = 0; i < 16 / elementBytes; ++i)
      loaded.push_back(e.load(word, e.offset(global, i * elementBytes), elementBytes));
    return loaded;
  };
  const Registers words =
      inside ? e.valuesWhen(inside, loadWords, Registers(16 / elementBytes, zero)) : loadWords();
  e.store(e.vectorOf(words), shared, 16);
}

bool KernelEmitter::needsConversion(Load load) const {
  const SharedLoad *shared = plan.shared(load);
  return !shared->terms.empty() || shared->widened || shared->isRounded;
}

/// A thread makes `terms` and rounded numbers of the chunks that it copied itself, `widened` of
/// others' too.
void KernelEmitter::convertForms(Load load, Value stage) {
  const SharedLoad &shared = *plan.shared(load);
  underWay.reads.push_back(shared.copied());
  Value from = sharedAddress(shared.raw.offset);
  if (stage)
    from = e.offset(from, e.mul(stage, shared.raw.bytes()));
  const Type half = options.input;
  if (!shared.terms.empty() || shared.isRounded) {
    const int64_t quads = shared.raw.columns / 4;
    forEachChunk(shared.raw.rows * quads, [&](Value index) {
      Value row = e.divide(index, quads);
      Value quad = e.remainder(index, quads);
      Value at = e.offset(from, swizzled(shared.raw, row, quad));
      Value four = e.load(VectorType::get({4}, e.f32Type()), at, 16);
      Registers values;
      for (int64_t i = 0; i < 4; ++i)
        values.push_back(e.element(four, i));
      const Registers rounded = shared.isRounded ? roundedTf32(values) : Registers();
      // Four float32 become four 16-bit numbers, and their remainders four more.
      for (const SharedTile &term : shared.terms) {
        Value low = e.pack(half, values[0], values[1]);
        Value high = e.pack(half, values[2], values[3]);
        Value to =
            e.offset(sharedAddress(term.offset),
                     e.add(swizzled(term, row, e.divide(quad, 2)), e.mul(e.bitAnd(quad, 1), 8)));
        e.store(e.vectorOf({low, high}), to, 8);
        for (int64_t i = 0; i < 4; ++i) {
          auto [first, second] = e.unpack(half, i < 2 ? low : high);
          values[i] = e.subtract(values[i], i % 2 ? second : first);
        }
      }
      if (shared.isRounded)
        e.store(e.vectorOf(rounded), at, 16);
    });
  }
  if (shared.widened) {
    const SharedTile &wide = *shared.widened;
    const int64_t quads = wide.columns / 4;
    forEachChunk(wide.rows * quads, [&](Value index) {
      Value row = e.divide(index, quads);
      Value quad = e.remainder(index, quads);
      Value at = e.add(swizzled(shared.raw, row, e.divide(quad, 2)), e.mul(e.bitAnd(quad, 1), 8));
      Value two = e.load(VectorType::get({2}, e.i32Type()), e.offset(from, at), 8);
      Registers values;
      for (int64_t i = 0; i < 2; ++i) {
        auto [first, second] = e.unpack(half, e.element(two, i));
        values.append({first, second});
      }
      e.store(e.vectorOf(values), e.offset(sharedAddress(wide.offset), swizzled(wide, row, quad)),
              16);
    });
  }
}

/// A load that no loop keeps under way. Its copy starts with those of the loads after it.
void KernelEmitter::copyWhereItStands(Load load) {
  const SharedLoad &shared = *plan.shared(load);
  awaitCopied(shared.startsWith);
  copier = threadAt(load);
  const bool isSomeAsynchronous =
      llvm::any_of(shared.startsWith, [&](Load started) { return isAsynchronous(started); });
  for (Load started : shared.startsWith) {
    startCopy(started, /*ahead=*/nullptr, Value());
    stagesInUse[started] = Value();
    if (isSomeAsynchronous)
      startedWithCopies.insert(started);
    if (isSomeAsynchronous && shared.startsWith.size() > 1 && plan.shared(started)->isAwaited)
      e.commitCopies();
  }
  if (!shared.isAwaited)
    return;
  const SmallVector<const PipelinedLoop *> loops = loopsThatRead(load);
  if (!loops.empty() && isa<func::FuncOp>(load->getParentOp()))
    arriving.push_back(load);
  if (!loops.empty() && (!isAsynchronous(load) || arrivesWithLoops(load, loops)))
    return;
  const bool isAlone = shared.startsWith.size() == 1;
  if (isAlone && isAsynchronous(load))
    e.commitCopies();
  if (startedWithCopies.contains(load))
    e.waitForCopies(shared.pending);
  if (!loops.empty())
    return;
  if (needsConversion(load)) {
    auto awaitReadersOf = [&](const SharedTile &form) {
      awaitReaders(SharedRange{form.offset, form.offset + form.bytes()});
    };
    llvm::for_each(shared.terms, awaitReadersOf);
    if (shared.widened) {
      awaitReadersOf(*shared.widened);
      barrier(); // others' chunks are there
    }
    convertForms(load, Value());
  }
  barrier();
}

} // namespace nysjit::gpu
