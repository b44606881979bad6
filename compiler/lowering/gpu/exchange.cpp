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

/// Each of the first `warps` warps has a part of every value; all get the whole, combined in the
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
      Value part = e.load(e.f32Type(),
                          e.offset(base, e.mul(e.add(lanePlace, other * count + places[i]), 4)), 4);
      whole = whole ? combine(op.getKind(), whole, part) : part;
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
    if (plan.parts(op.getValue()) & RowPart) {
      const RowSplit split = plan.split(type.getDimSize(0));
      Value sum;
      for (Value value : registersOf(op.getValue(), RowPart))
        fold(sum, value);
      sum = acrossLanes(kind, sum, {4, 8, 16});
      Registers whole = acrossWarps(op, {sum}, split.warps, {0}, e.i32(0), 1);
      scalars.map(op.getResult(), whole[0]);
      return;
    }
    Value sum;
    for (Value value : registersOf(op.getValue(), ColumnPart))
      fold(sum, value);
    scalars.map(op.getResult(), acrossLanes(kind, sum, {1, 2}));
    return;
  }
  const RowSplit split = plan.split(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  const SmallVector<Value> values = registersOf(op.getValue());
  auto at = [&](int64_t block, int64_t piece, int64_t half, int64_t element) {
    return values[((block * pieces + piece) * split.halves + half) * 2 + element];
  };
  if (op.getAxis() == 1) { // along a row: registers, then the four lanes that share it
    Registers sums;
    for (int64_t block = 0; block < split.blocks; ++block)
      for (int64_t half = 0; half < split.halves; ++half) {
        Value even;
        Value odd; // two chains
        for (int64_t piece = 0; piece < pieces; ++piece) {
          fold(even, at(block, piece, half, 0));
          fold(odd, at(block, piece, half, 1));
        }
        sums.push_back(acrossLanes(kind, combine(kind, even, odd), {1, 2}));
      }
    setRegisters(op.getResult(), sums, RowPart);
    spread(op, sums, RowPart);
  } else { // down the columns: registers, the eight lanes with the same columns, then the warps
    Registers sums;
    SmallVector<int64_t> places;
    for (int64_t piece = 0; piece < pieces; ++piece)
      for (int64_t element = 0; element < 2; ++element) {
        Value sum;
        for (int64_t block = 0; block < split.blocks; ++block)
          for (int64_t half = 0; half < split.halves; ++half)
            fold(sum, at(block, piece, half, element));
        sums.push_back(acrossLanes(kind, sum, {4, 8, 16}));
        places.push_back(piece * 8 + element);
      }
    sums = acrossWarps(op, sums, split.warps, places, laneColumn, pieces * 8);
    setRegisters(op.getResult(), sums, ColumnPart);
    spread(op, sums, ColumnPart);
  }
}

/// Gives each lane the other part too, through shared memory, if anything needs it. Lanes of one
/// place write the same bits.
void KernelEmitter::spread(tile::ReduceOp op, ArrayRef<Value> values, unsigned made) {
  const unsigned other = (RowPart | ColumnPart) & ~made;
  if (!(plan.parts(op.getResult()) & other))
    return;
  const int64_t length = tileType(op.getResult()).getNumElements();
  const RowSplit split = plan.split(length);
  const SharedRange range = {plan.scratch(op).end - length * 4, plan.scratch(op).end};
  Value base = sharedAddress(range.begin);
  Value first = e.add(firstRow(split), laneRow);
  auto places = [&](unsigned part, llvm::function_ref<void(Value)> visit) {
    if (part == RowPart) {
      for (int64_t block = 0; block < split.blocks; ++block)
        for (int64_t half = 0; half < split.halves; ++half)
          visit(e.offset(base, e.mul(e.add(first, block * 16 + half * 8), 4)));
      return;
    }
    for (int64_t piece = 0; piece < length / 8; ++piece)
      for (int64_t element = 0; element < 2; ++element)
        visit(e.offset(base, e.mul(e.add(laneColumn, piece * 8 + element), 4)));
  };
  awaitReaders(range);
  onWarpsOf(made == RowPart ? split.warps : 1, [&] {
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
  const RowSplit split = plan.split(type.getDimSize(0));
  const SmallVector<Value> values = registersOf(tile);
  onWarpsOf(split.warps, [&] {
    Value first = e.add(firstRow(split), laneRow);
    for (int64_t block = 0; block < split.blocks; ++block)
      for (int64_t half = 0; half < split.halves; ++half) {
        Value row = e.offset(
            base, e.mul(e.add(e.mul(e.add(first, block * 16 + half * 8), stride), laneColumn), 4));
        for (int64_t piece = 0; piece < columns / 8; ++piece) {
          const int64_t at = ((block * (columns / 8) + piece) * split.halves + half) * 2;
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
  const RowSplit split = plan.split(op.getResult().getType().getDimSize(0));
  Value own =
      e.offset(base, e.mul(e.add(e.add(firstRow(split), laneRow), e.mul(laneColumn, stride)), 4));
  Registers values;
  for (int64_t block = 0; block < split.blocks; ++block)
    for (int64_t piece = 0; piece < columns / 8; ++piece)
      for (int64_t half = 0; half < split.halves; ++half)
        for (int64_t element = 0; element < 2; ++element)
          values.push_back(e.load(
              e.f32Type(),
              e.offset(own, ((piece * 8 + element) * stride + block * 16 + half * 8) * 4), 4));
  setRegisters(op.getResult(), values);
}

} // namespace nysjit::gpu
