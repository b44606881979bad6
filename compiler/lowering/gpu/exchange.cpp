// What lanes and warps do together beside dots: reductions, transposes and the triangular solve.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

Value KernelEmitter::combine(tile::ReduceKind kind, Value a, Value b) {
  switch (kind) {
  case tile::ReduceKind::Max: return arith::MaxNumFOp::create(e.builder, e.loc, a, b);
  case tile::ReduceKind::Min: return arith::MinNumFOp::create(e.builder, e.loc, a, b);
  case tile::ReduceKind::Sum: return e.addFloat(a, b);
  }
  llvm_unreachable("no such reduction");
}

Value KernelEmitter::acrossLanes(tile::ReduceKind kind, Value value, ArrayRef<int64_t> masks) {
  for (int64_t mask : masks)
    value = combine(kind, value, e.exchange(value, mask));
  return value;
}

/// Each of the first `warps` warps has its share of every value; all get the whole, combined in the
/// order of warps. Value i of a lane belongs to place places[i] + lanePlace of its warp's `count`;
/// lanes of one place have the same bits, and write them all.
Registers KernelEmitter::acrossWarps(tile::ReduceOp op, Registers values, int64_t warps,
                                     ArrayRef<int64_t> places, Value lanePlace, int64_t count) {
  if (warps == 1)
    return values;
  const SharedRange range = {plan.scratch(op).begin, plan.scratch(op).begin + warps * count * 4};
  Value base = sharedAddress(range.begin);
  awaitReaders(range);
  onWarpsOf(warps, [&] {
    for (size_t i = 0; i < values.size(); ++i)
      e.store(values[i],
              e.offset(base, e.mul(e.add(e.add(e.mul(warp, count), lanePlace), places[i]), 4)), 4);
  });
  barrier();
  underWay.reads.push_back(range);
  for (size_t i = 0; i < values.size(); ++i) {
    Value whole;
    for (int64_t other = 0; other < warps; ++other) {
      Value share = e.load(
          e.f32Type(), e.offset(base, e.mul(e.add(lanePlace, other * count + places[i]), 4)), 4);
      whole = whole ? combine(op.getKind(), whole, share) : share;
    }
    values[i] = whole;
  }
  return values;
}

void KernelEmitter::emitReduce(tile::ReduceOp op) {
  const RankedTensorType type = op.getValue().getType();
  const tile::ReduceKind kind = op.getKind();
  auto fold = [&](Value &sum, Value value) { sum = sum ? combine(kind, sum, value) : value; };
  if (type.getRank() == 1) {
    // To a scalar, which every thread then has.
    if (plan.spreads(op.getValue()) & OverRows) {
      const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
      Value sum;
      for (Value value : registersOf(op.getValue(), OverRows))
        fold(sum, value);
      sum = acrossLanes(kind, sum, {4, 8, 16});
      Registers whole = acrossWarps(op, {sum}, warpRows.warps, {0}, e.i32(0), 1);
      scalars.map(op.getResult(), whole[0]);
      return;
    }
    Value sum;
    for (Value value : registersOf(op.getValue(), OverColumns))
      fold(sum, value);
    scalars.map(op.getResult(), acrossLanes(kind, sum, {1, 2}));
    return;
  }
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  const SmallVector<Value> values = registersOf(op.getValue());
  auto at = [&](int64_t band, int64_t piece, int64_t half, int64_t element) {
    return values[((band * pieces + piece) * warpRows.halves + half) * 2 + element];
  };
  if (op.getAxis() == 1) { // along a row: registers, then the four lanes that share it
    Registers sums;
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half) {
        Value even;
        Value odd; // two chains
        for (int64_t piece = 0; piece < pieces; ++piece) {
          fold(even, at(band, piece, half, 0));
          fold(odd, at(band, piece, half, 1));
        }
        sums.push_back(acrossLanes(kind, combine(kind, even, odd), {1, 2}));
      }
    setRegisters(op.getResult(), sums, OverRows);
    exchangeSpread(op, sums, OverRows);
  } else { // down the columns: registers, the eight lanes with the same columns, then the warps
    Registers sums;
    SmallVector<int64_t> places;
    for (int64_t piece = 0; piece < pieces; ++piece)
      for (int64_t element = 0; element < 2; ++element) {
        Value sum;
        for (int64_t band = 0; band < warpRows.bands; ++band)
          for (int64_t half = 0; half < warpRows.halves; ++half)
            fold(sum, at(band, piece, half, element));
        sums.push_back(acrossLanes(kind, sum, {4, 8, 16}));
        places.push_back(piece * 8 + element);
      }
    sums = acrossWarps(op, sums, warpRows.warps, places, laneColumn, pieces * 8);
    setRegisters(op.getResult(), sums, OverColumns);
    exchangeSpread(op, sums, OverColumns);
  }
}

/// Gives each lane the other spread too, through shared memory, if anything needs it. Lanes of one
/// place write the same bits.
void KernelEmitter::exchangeSpread(tile::ReduceOp op, ArrayRef<Value> values, unsigned made) {
  const unsigned other = (OverRows | OverColumns) & ~made;
  if (!(plan.spreads(op.getResult()) & other))
    return;
  const int64_t length = tileType(op.getResult()).getNumElements();
  const WarpRows warpRows = plan.warpRows(length);
  const SharedRange range = {plan.scratch(op).end - length * 4, plan.scratch(op).end};
  Value base = sharedAddress(range.begin);
  Value first = e.add(firstRow(warpRows), laneRow);
  auto places = [&](unsigned spread, llvm::function_ref<void(Value)> visit) {
    if (spread == OverRows) {
      for (int64_t band = 0; band < warpRows.bands; ++band)
        for (int64_t half = 0; half < warpRows.halves; ++half)
          visit(e.offset(base, e.mul(e.add(first, band * 16 + half * 8), 4)));
      return;
    }
    for (int64_t piece = 0; piece < length / 8; ++piece)
      for (int64_t element = 0; element < 2; ++element)
        visit(e.offset(base, e.mul(e.add(laneColumn, piece * 8 + element), 4)));
  };
  awaitReaders(range);
  onWarpsOf(made == OverRows ? warpRows.warps : 1, [&] {
    size_t i = 0;
    places(made, [&](Value place) { e.store(values[i++], place, 4); });
  });
  barrier();
  underWay.reads.push_back(range);
  Registers all;
  places(other, [&](Value place) { all.push_back(e.load(e.f32Type(), place, 4)); });
  setRegisters(op.getResult(), all, other);
}

/// `body` by the warps that hold different rows.
void KernelEmitter::onWarpsOf(int64_t warps, llvm::function_ref<void()> body) {
  if (warps < plan.numWarps())
    e.when(e.less(warp, e.i32(warps)), body);
  else
    body();
}

//===- Transpose and solve --------------------------------------------------------------------===//

/// A 2-D tile's registers as float32 in shared memory, rows `stride` numbers apart.
void KernelEmitter::storeTile(Value tile, Value base, int64_t stride) {
  const RankedTensorType type = tileType(tile);
  const int64_t columns = type.getDimSize(1);
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const SmallVector<Value> values = registersOf(tile);
  onWarpsOf(warpRows.warps, [&] {
    Value first = e.add(firstRow(warpRows), laneRow);
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half) {
        Value row = e.offset(
            base, e.mul(e.add(e.mul(e.add(first, band * 16 + half * 8), stride), laneColumn), 4));
        for (int64_t piece = 0; piece < columns / 8; ++piece) {
          const int64_t at = ((band * (columns / 8) + piece) * warpRows.halves + half) * 2;
          e.store(e.vectorOf({values[at], values[at + 1]}), e.offset(row, piece * 32), 8);
        }
      }
  });
}

int64_t transposeStride(RankedTensorType type) { return type.getDimSize(1) + 4; }

/// Through shared memory. With rows 4 banks further apart than a multiple of 16 the reads, down its
/// columns, meet in no bank.
void KernelEmitter::emitTranspose(tile::TransposeOp op) {
  const int64_t stride = transposeStride(op.getValue().getType());
  const int64_t columns = op.getResult().getType().getDimSize(1);
  Value base = sharedAddress(plan.scratch(op).begin);
  awaitReaders(plan.scratch(op));
  storeTile(op.getValue(), base, stride);
  barrier();
  underWay.reads.push_back(plan.scratch(op));
  const WarpRows warpRows = plan.warpRows(op.getResult().getType().getDimSize(0));
  Value own = e.offset(
      base, e.mul(e.add(e.add(firstRow(warpRows), laneRow), e.mul(laneColumn, stride)), 4));
  Registers values;
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t piece = 0; piece < columns / 8; ++piece)
      for (int64_t half = 0; half < warpRows.halves; ++half)
        for (int64_t element = 0; element < 2; ++element)
          values.push_back(e.load(
              e.f32Type(),
              e.offset(own, ((piece * 8 + element) * stride + band * 16 + half * 8) * 4), 4));
  setRegisters(op.getResult(), values);
}

} // namespace nysjit::gpu
