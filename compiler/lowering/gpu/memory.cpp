// Tiles between global memory and registers. Rows outside a view are read as zero without touching
// memory, and not written.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

static int64_t bytesOf(Type element) { return element.getIntOrFloatBitWidth() / 8; }

/// One element as float32.
static Value loadElement(WarpBuilder &e, Type element, Value address) {
  Value value = e.load(element, address, bytesOf(element));
  return element.isF32() ? value
                         : Value(arith::ExtFOp::create(e.builder, e.loc, e.f32Type(), value));
}

/// Two neighbours as float32, in one access where they are aligned.
static std::pair<Value, Value> loadPair(WarpBuilder &e, Type element, Value address, bool aligned) {
  const int64_t bytes = bytesOf(element);
  if (!aligned)
    return {loadElement(e, element, address), loadElement(e, element, e.offset(address, bytes))};
  if (element.isF32()) {
    Value both = e.load(VectorType::get({2}, element), address, 8);
    return {e.element(both, 0), e.element(both, 1)};
  }
  return e.unpack(element, e.load(e.i32Type(), address, 4));
}

static void storeElement(WarpBuilder &e, Type element, Value value, Value address) {
  if (!element.isF32())
    value = arith::TruncFOp::create(e.builder, e.loc, element, value);
  e.store(value, address, bytesOf(element));
}

static void storePair(WarpBuilder &e, Type element, Value first, Value second, Value address,
                      bool aligned) {
  if (!aligned) {
    storeElement(e, element, first, address);
    storeElement(e, element, second, e.offset(address, bytesOf(element)));
  } else if (element.isF32()) {
    e.store(e.vectorOf({first, second}), address, 8);
  } else {
    e.store(e.pack(element, first, second), address, 4);
  }
}

//===- Loads ----------------------------------------------------------------------------------===//

void KernelEmitter::emitLoad(Load load) {
  const RankedTensorType type = load.getResult().getType();
  if (const SharedLoad *shared = plan.shared(load)) {
    if (shared->loop)
      underWay.loads.insert(load);
    else
      copyWhereItStands(load);
    preload(load);
  }
  if (!plan.isUsedInRegisters(load))
    return;
  if (plan.comesThroughShared(load))
    return setRegisters(load.getResult(), registersFromShared(load));
  awaitStores(load);
  underWay.loads.insert(load);
  if (type.getRank() == 2)
    return setRegisters(load.getResult(), loadRows(load));
  for (Spread spread : {OverRows, OverColumns})
    if (plan.spreads(load.getResult()) & spread)
      setRegisters(load.getResult(),
                   load.isGather() ? gatherSpread(load, spread)
                                   : loadSpread(load, scalars.lookup(load.getRow()), spread),
                   spread);
}

/// A 16-bit tile in shared memory as an accumulator's registers, float32 from here on: a matrix of
/// ldmatrix is one 8x8 piece.
Registers KernelEmitter::registersFromShared(Load load) {
  const RankedTensorType type = load.getResult().getType();
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  SharedOperand operand = sharedForm(load, Form::Raw, 0);
  underWay.reads.push_back(operand.range);
  operand.base = e.offset(operand.base, e.mul(firstRow(warpRows), operand.tile.rowBytes()));
  const int64_t pieces = operand.tile.chunks();
  Registers values(warpRows.rowRegisters() * pieces * 2);
  auto set = [&](int64_t band, int64_t piece, int64_t half, Value packed) {
    auto [low, high] = e.unpack(type.getElementType(), packed);
    const int64_t at = ((band * pieces + piece) * warpRows.halves + half) * 2;
    values[at] = low;
    values[at + 1] = high;
  };
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t piece = 0; piece < pieces; piece += 2) {
      // Matrices (half 0, piece), (half 1, piece), (half 0, piece + 1), ...; with 8 rows the halves
      // are left out.
      const int64_t width = std::min<int64_t>(2, pieces - piece);
      const bool isWhole = warpRows.halves == 2;
      Value rows = e.bitAnd(lane, isWhole ? 15 : 7);
      Value chunks = width == 1 ? e.i32(0)
                     : isWhole  ? e.divide(lane, 16)
                                : e.bitAnd(e.divide(lane, 8), 1);
      const Registers matrices =
          loadMatrices(operand, e.i32(band * 16), e.i32(piece), rows, chunks,
                       static_cast<int>(width * warpRows.halves), /*transposed=*/false);
      for (int64_t i = 0; i < width; ++i)
        for (int64_t half = 0; half < warpRows.halves; ++half)
          set(band, piece + i, half, matrices[i * warpRows.halves + half]);
    }
  return values;
}

Registers KernelEmitter::valuesInside(Load load, Value number, llvm::function_ref<Registers()> body,
                                      const Registers &outside) {
  return load.getInBounds()
             ? body()
             : e.valuesWhen(e.below(number, views[load.getView()].length), body, outside);
}

Registers KernelEmitter::loadRows(Load load) {
  const MemoryView &view = views[load.getView()];
  const WarpRows warpRows = plan.warpRows(load.getResult().getType().getDimSize(0));
  const bool aligned = options.aligned || !view.isArgument;
  const Registers zeros(view.columns / 4, e.f32(0));
  Value first = firstRow(warpRows);
  if (!load.isGather())
    first = e.add(scalars.lookup(load.getRow()), first);
  first = e.add(first, laneRow);
  Value column = e.offset(view.address, e.mul(laneColumn, bytesOf(view.element)));
  Registers values(warpRows.rowRegisters() * view.columns / 4);
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t half = 0; half < warpRows.halves; ++half) {
      Value at = e.add(first, band * 16 + half * 8);
      if (load.isGather())
        at = numberAt(load.getRow(), at, /*ahead=*/nullptr);
      Registers loaded = valuesInside(
          load, at,
          [&] {
            Value address = e.offset(column, e.mul(e.widen(at), view.rowBytes));
            Registers pairs;
            for (int64_t piece = 0; piece < view.columns / 8; ++piece) {
              auto [low, high] = loadPair(
                  e, view.element, e.offset(address, piece * 8 * bytesOf(view.element)), aligned);
              pairs.append({low, high});
            }
            return pairs;
          },
          zeros);
      for (int64_t piece = 0; piece < view.columns / 8; ++piece)
        for (int64_t element = 0; element < 2; ++element)
          values[((band * (view.columns / 8) + piece) * warpRows.halves + half) * 2 + element] =
              loaded[piece * 2 + element];
    }
  return values;
}

/// Bytes between the elements of a vector view.
static Value stepOf(WarpBuilder &e, const MemoryView &view) {
  return view.isStrided ? view.rowBytes : e.i64(bytesOf(view.element));
}

/// The elements of a vector view whose numbers this thread holds.
Registers KernelEmitter::gatherSpread(Load load, Spread spread) {
  const MemoryView &view = views[load.getView()];
  Registers values;
  for (Value at : SmallVector<Value>(registersOf(load.getRow(), spread)))
    values.append(valuesInside(load, at,
                               [&] {
                                 Value bytes = e.mul(e.widen(at), stepOf(e, view));
                                 return Registers{
                                     loadElement(e, view.element, e.offset(view.address, bytes))};
                               },
                               {e.f32(0)}));
  return values;
}

/// The elements this thread holds.
Registers KernelEmitter::loadSpread(Load load, Value start, Spread spread) {
  const MemoryView &view = views[load.getView()];
  const int64_t length = load.getResult().getType().getDimSize(0);
  const WarpRows warpRows = plan.warpRows(length);
  SmallVector<int64_t> steps; // from the thread's first element
  if (spread == OverRows) {
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half)
        steps.push_back(band * 16 + half * 8);
  } else {
    for (int64_t piece = 0; piece < length / 8; ++piece)
      for (int64_t element = 0; element < 2; ++element)
        steps.push_back(piece * 8 + element);
  }
  Value first = e.add(start, spread == OverRows ? e.add(firstRow(warpRows), laneRow) : laneColumn);
  Value address = e.offset(view.address, e.mul(e.widen(first), stepOf(e, view)));
  Registers values;
  for (int64_t step : steps)
    values.append(valuesInside(load, e.add(first, step),
                               [&] {
                                 Value at = e.offset(address, e.mul(stepOf(e, view), step));
                                 return Registers{loadElement(e, view.element, at)};
                               },
                               {e.f32(0)}));
  return values;
}

Value KernelEmitter::loadScalar(tile::LoadScalarOp load) {
  const MemoryView &view = views[load.getView()];
  const Type type = load.getResult().getType();
  const int64_t bytes = bytesOf(type);
  Value row = scalars.lookup(load.getRow());
  Value zero = arith::ConstantOp::create(e.builder, e.loc, e.builder.getZeroAttr(type));
  return e.valuesWhen(e.below(row, view.length),
                      [&] {
                        Value at = e.offset(view.address, e.mul(e.widen(row), stepOf(e, view)));
                        return Registers{e.load(type, at, bytes)};
                      },
                      {zero})[0];
}

//===- Stores ---------------------------------------------------------------------------------===//

/// Whether another thread may still have to read what the store overwrites: one that loads other
/// rows of that memory, or the same rows for a copy of the tile. The same load by the thread that
/// writes needs no barrier.
bool KernelEmitter::mayOverwriteUnread(tile::StoreOp store, bool hasCopies) const {
  return llvm::any_of(underWay.loads, [&](Operation *op) {
    const Load load = Load::of(op);
    const bool isSame =
        !hasCopies && !plan.shared(load) && load.getView() == store.getView() &&
        load.getRow() == store.getRow() &&
        load.getResult().getType().getShape() == store.getValue().getType().getShape();
    return baseOf(load.getView()) == baseOf(store.getView()) && !isSame;
  });
}

void KernelEmitter::emitStore(tile::StoreOp store) {
  const RankedTensorType type = store.getValue().getType();
  const bool hasCopies =
      type.getRank() == 1 || plan.warpRows(type.getDimSize(0)).warps < plan.numWarps();
  if (!store.getUnread() && mayOverwriteUnread(store, hasCopies))
    barrier();
  underWay.stored.insert(baseOf(store.getView()));
  if (type.getRank() == 2)
    storeRows(store);
  else
    storeLine(store);
}

void KernelEmitter::storeRows(tile::StoreOp store) {
  const MemoryView &view = views[store.getView()];
  Value start = scalars.lookup(store.getRow());
  const WarpRows warpRows = plan.warpRows(store.getValue().getType().getDimSize(0));
  const bool aligned = options.aligned || !view.isArgument;
  const SmallVector<Value> values = registersOf(store.getValue());
  Value first = e.add(e.add(start, firstRow(warpRows)), laneRow);
  Value column = e.offset(e.offset(view.address, e.mul(e.widen(first), view.rowBytes)),
                          e.mul(laneColumn, bytesOf(view.element)));
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t half = 0; half < warpRows.halves; ++half) {
      Value at = e.add(first, band * 16 + half * 8);
      Value holds = e.below(at, view.length);
      if (warpRows.warps < plan.numWarps())
        holds = e.both(holds, e.less(warp, e.i32(warpRows.warps)));
      e.when(holds, [&] {
        Value address = e.offset(column, e.mul(view.rowBytes, band * 16 + half * 8));
        for (int64_t piece = 0; piece < view.columns / 8; ++piece) {
          const int64_t at = ((band * (view.columns / 8) + piece) * warpRows.halves + half) * 2;
          storePair(e, view.element, values[at], values[at + 1],
                    e.offset(address, piece * 8 * bytesOf(view.element)), aligned);
        }
      });
    }
}

void KernelEmitter::storeLine(tile::StoreOp store) {
  const MemoryView &view = views[store.getView()];
  Value start = scalars.lookup(store.getRow());
  auto storeAt = [&](Value condition, Value number, Value value) {
    e.when(e.both(condition, e.below(number, view.length)), [&] {
      storeElement(e, view.element, value,
                   e.offset(view.address, e.mul(e.widen(number), stepOf(e, view))));
    });
  };
  const int64_t length = store.getValue().getType().getDimSize(0);
  if (length == 1) // a scalar
    return storeAt(e.equal(thread, 0), start, registersOf(store.getValue(), OverColumns)[0]);
  if (plan.spreads(store.getValue()) & OverRows) {
    const WarpRows warpRows = plan.warpRows(length);
    Value first = e.add(e.add(start, firstRow(warpRows)), laneRow);
    Value holds = e.equal(laneColumn, 0);
    if (warpRows.warps < plan.numWarps())
      holds = e.both(holds, e.less(warp, e.i32(warpRows.warps)));
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half)
        storeAt(holds, e.add(first, band * 16 + half * 8),
                registersOf(store.getValue(), OverRows)[band * warpRows.halves + half]);
    return;
  }
  Value first = e.add(start, laneColumn);
  Value holds = e.less(thread, e.i32(4));
  for (int64_t piece = 0; piece < length / 8; ++piece)
    for (int64_t element = 0; element < 2; ++element)
      storeAt(holds, e.add(first, piece * 8 + element),
              registersOf(store.getValue(), OverColumns)[piece * 2 + element]);
}

} // namespace nysjit::gpu
