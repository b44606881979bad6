// tile.dot as mma.sync: a's fragments from registers or shared memory, b's from shared memory by
// ldmatrix.
//
// One k step is two chunks of 16 bytes of a row: 16 columns of 16-bit numbers (m16n8k16) or 8 of
// float32 (m16n8k8, tf32). So one ldmatrix pattern serves both: an 8x8 matrix of 16-bit numbers is
// an 8x4 matrix of float32.
//
// float32 products (tf32x3) are a_high b_high + a_high b_low + a_low b_high with high and low parts
// of 11 bits each. Tensor cores cut sums off rather than round them, which adds up to a bias: sums
// are kept for eight steps at most, low and high ones apart, and then added with rounding.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

//===- Fragments ------------------------------------------------------------------------------===//

KernelEmitter::SharedOperand KernelEmitter::sharedForm(tile::LoadOp load, Form form, int part) {
  const SharedLoad &shared = *plan.shared(load);
  if (form == Form::Raw) {
    Value base = sharedAddress(shared.raw.offset);
    if (Value slot = slots.lookup(load))
      base = e.offset(base, e.mul(slot, shared.raw.bytes()));
    return {shared.raw, base, shared.copied()};
  }
  const SharedTile &tile = form == Form::Parts ? shared.parts[part] : *shared.widened;
  return {tile, sharedAddress(tile.offset), {tile.offset, tile.offset + tile.bytes()}};
}

/// ldmatrix at (row + laneRows, chunk + laneChunks). `row` is a multiple of 8 and does not move the
/// swizzle; `chunk` is even where laneChunks may be 1.
Registers KernelEmitter::loadMatrices(const SharedOperand &operand, Value row, Value chunk,
                                      Value laneRows, Value laneChunks, int count,
                                      bool transposed) {
  Value base = e.offset(operand.base, e.mul(row, operand.tile.rowBytes()));
  return e.loadMatrices(chunkAddress(operand.tile, base, laneRows, laneChunks, chunk), count,
                        transposed);
}

Registers KernelEmitter::rowFragment(const SharedOperand &operand, int64_t row, Value step,
                                     bool isHalfStep) {
  Value rows = e.bitAnd(lane, 15);
  return loadMatrices(operand, e.i32(row), e.mul(step, 2), rows,
                      isHalfStep ? e.i32(0) : e.divide(lane, 16), isHalfStep ? 2 : 4, false);
}

SmallVector<Registers, 2> KernelEmitter::columnFragments(const DotOperands &dot, int part,
                                                         Value step, bool isHalfStep, int64_t piece,
                                                         int64_t count) {
  const SharedOperand &operand = dot.b[part];
  if (dot.plan.products != Products::Half && (!dot.isTransposed || dot.isPermuted))
    return floatFragments(dot, step, piece, count);
  Registers all;
  if (!dot.isTransposed) { // rows are k: two 8x8 matrices a piece, transposed on the way
    all = loadMatrices(operand, e.mul(step, 16), e.i32(piece), e.bitAnd(lane, 15),
                       count == 2 ? e.divide(lane, 16) : e.i32(0), 2 * count, true);
  } else if (isHalfStep) {
    all = loadMatrices(operand, e.i32(piece * 8), e.mul(step, 2),
                       count == 2 ? e.bitAnd(lane, 15) : e.bitAnd(lane, 7), e.i32(0), count, false);
    // rows are columns of the result: matrices (piece, chunk), (piece, chunk + 1), (piece + 1,
    // chunk), ...
  } else {
    Value rows =
        count == 2 ? e.add(e.bitAnd(lane, 7), e.mul(e.divide(lane, 16), 8)) : e.bitAnd(lane, 7);
    all = loadMatrices(operand, e.i32(piece * 8), e.mul(step, 2), rows,
                       e.bitAnd(e.divide(lane, 8), 1), 2 * count, false);
  }
  SmallVector<Registers, 2> fragments;
  const size_t each = all.size() / count;
  for (int64_t i = 0; i < count; ++i)
    fragments.push_back(Registers(all.begin() + i * each, all.begin() + (i + 1) * each));
  return fragments;
}

/// float32 fragments that ldmatrix cannot give: rows that are k, or k in an accumulator's order.
SmallVector<Registers, 2> KernelEmitter::floatFragments(const DotOperands &dot, Value step,
                                                        int64_t piece, int64_t count) {
  const SharedOperand &operand = dot.b[0];
  Value quarter = e.bitAnd(lane, 3); // t
  SmallVector<Registers, 2> fragments;
  for (int64_t i = 0; i < count; ++i) {
    if (dot.isTransposed) { // both numbers of a pair, beside each other in the row
      Value base = e.offset(operand.base, e.mul(e.bitAnd(quarter, 1), 8));
      Value at = chunkAddress(operand.tile, base, laneRow, e.divide(quarter, 2), e.mul(step, 2));
      Value pair = e.load(VectorType::get({2}, e.f32Type()),
                          e.offset(at, (piece + i) * 8 * operand.tile.rowBytes()), 8);
      fragments.push_back({e.element(pair, 0), e.element(pair, 1)});
      continue;
    }
    Registers both;
    for (int64_t k = 0; k < 2; ++k) {
      Value row = dot.isPermuted ? e.add(laneColumn, k) : e.add(quarter, 4 * k);
      Value base = e.offset(operand.base, e.mul(e.bitAnd(laneRow, 3), 4));
      Value at =
          chunkAddress(operand.tile, base, row, e.divide(laneRow, 4), e.i32(2 * (piece + i)));
      both.push_back(
          e.load(e.f32Type(), e.offset(at, e.mul(step, 8 * operand.tile.rowBytes())), 4));
    }
    fragments.push_back(both);
  }
  return fragments;
}

/// An accumulator as the next product's a: the same registers, packed in pairs for 16-bit products.
Fragments KernelEmitter::computedFragments(Value a, const DotPlan &dot) {
  const RankedTensorType type = tileType(a);
  const RowSplit split = plan.split(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  const SmallVector<Value> values = registersOf(a);
  auto piece = [&](int64_t block, int64_t index) {
    return ArrayRef<Value>(values).slice((block * pieces + index) * 4, 4);
  };
  Fragments fragments(split.blocks);
  for (int64_t block = 0; block < split.blocks; ++block) {
    fragments[block].resize(dot.partsA);
    if (dot.products != Products::Half) {
      for (int64_t index = 0; index < pieces; ++index) {
        ArrayRef<Value> own = piece(block, index);
        fragments[block][0].push_back({own[0], own[2], own[1], own[3]});
      }
      continue;
    }
    for (int64_t first = 0; first < pieces; first += 2) {
      SmallVector<Value> left(piece(block, first));
      if (first + 1 < pieces)
        llvm::append_range(left, piece(block, first + 1));
      for (int part = 0; part < dot.partsA; ++part) {
        Registers packed;
        for (size_t i = 0; i < left.size(); i += 2) {
          packed.push_back(e.pack(dot.element, left[i], left[i + 1]));
          if (part + 1 < dot.partsA) {
            auto [low, high] = e.unpack(dot.element, packed.back());
            left[i] = e.subtract(left[i], low);
            left[i + 1] = e.subtract(left[i + 1], high);
          }
        }
        fragments[block][part].push_back(packed);
      }
    }
  }
  return fragments;
}

/// Fragments of row operands that stay in registers from their load on.
void KernelEmitter::preload(tile::LoadOp load) {
  for (Operation *user : load->getUsers()) {
    auto op = dyn_cast<tile::DotOp>(user);
    if (!op || !plan.isPreloaded(op) || op.getA() != load.getResult())
      continue;
    const DotPlan dot = plan.dot(op);
    const RankedTensorType type = load.getResult().getType();
    const RowSplit split = plan.split(type.getDimSize(0));
    Fragments held(split.blocks);
    for (int part = 0; part < dot.partsA; ++part) {
      SharedOperand operand = sharedForm(load, KernelPlan::form(dot, type.getElementType()), part);
      operand.base = e.offset(operand.base, e.mul(firstRow(split), operand.tile.rowBytes()));
      underWay.reads.push_back(operand.range);
      const int64_t chunks = operand.tile.chunks();
      for (int64_t block = 0; block < split.blocks; ++block) {
        held[block].resize(dot.partsA);
        for (int64_t step = 0; step < (chunks + 1) / 2; ++step)
          held[block][part].push_back(
              rowFragment(operand, block * 16, e.i32(step), 2 * step + 1 == chunks));
      }
    }
    fragments[op] = held;
  }
}

/// A computed b: all warps need all of it, so it goes through shared memory.
SmallVector<KernelEmitter::SharedOperand, 2> KernelEmitter::storeOperand(tile::DotOp op,
                                                                         const DotPlan &dot) {
  const RankedTensorType type = op.getB().getType();
  const RowSplit split = plan.split(type.getDimSize(0));
  const SmallVector<Value> values = registersOf(op.getB());
  const int64_t bytes = dot.products == Products::Half ? 2 : 4;
  const int64_t pieces = type.getDimSize(1) / 8;
  SmallVector<SharedOperand, 2> operands;
  for (int part = 0; part < dot.partsB; ++part) {
    const SharedTile tile{plan.scratch(op).begin + part * type.getNumElements() * 2,
                          type.getDimSize(0), type.getDimSize(1), bytes};
    operands.push_back({tile, sharedAddress(tile.offset), plan.scratch(op)});
  }
  awaitReaders(plan.scratch(op));
  onWarpsOf(split.warps, [&] {
    Value first = e.add(firstRow(split), laneRow);
    for (int64_t block = 0; block < split.blocks; ++block)
      for (int64_t half = 0; half < split.halves; ++half)
        for (int64_t piece = 0; piece < pieces; ++piece) {
          const int64_t at = ((block * pieces + piece) * split.halves + half) * 2;
          Value row = e.add(first, block * 16 + half * 8);
          Value low = values[at];
          Value high = values[at + 1];
          if (bytes == 4) { // two of the four numbers of a chunk
            Value chunk = e.add(e.divide(laneColumn, 4), 2 * piece);
            Value to =
                e.add(swizzled(operands[0].tile, row, chunk), e.mul(e.bitAnd(laneColumn, 3), 4));
            e.store(e.vectorOf({low, high}), e.offset(operands[0].base, to), 8);
            continue;
          }
          for (const SharedOperand &part : operands) {
            Value packed = e.pack(dot.element, low, high);
            e.store(packed,
                    e.offset(part.base,
                             e.add(swizzled(part.tile, row, e.i32(piece)), e.mul(laneColumn, 2))),
                    4);
            auto [lowPart, highPart] = e.unpack(dot.element, packed);
            low = e.subtract(low, lowPart);
            high = e.subtract(high, highPart);
          }
        }
  });
  barrier();
  return operands;
}

//===- Products -------------------------------------------------------------------------------===//

/// Rounded to tf32, the largest numbers to the largest tf32: an infinity of rounding's would make
/// NaNs of masked rows.
Registers KernelEmitter::roundedTf32(ValueRange values) {
  constexpr double largest = 0x1.ffcp127;
  Registers rounded;
  for (Value value : values) {
    Value below =
        arith::MinNumFOp::create(e.builder, e.loc, e.bitcast(e.f32Type(), value), e.f32(largest));
    rounded.push_back(
        e.roundToTf32(arith::MaxNumFOp::create(e.builder, e.loc, below, e.f32(-largest))));
  }
  return rounded;
}

/// The first 11 bits of each number; cut off, which cannot overflow.
Registers KernelEmitter::highTf32(ValueRange values) {
  Registers high;
  for (Value value : values)
    high.push_back(e.bitAnd(e.bitcast(e.i32Type(), value), static_cast<int32_t>(0xffffe000u)));
  return high;
}

/// And the next, rounded.
Registers KernelEmitter::lowTf32(ValueRange values, ValueRange high) {
  Registers low;
  for (auto [value, cut] : llvm::zip(values, high))
    low.push_back(
        e.roundToTf32(e.subtract(e.bitcast(e.f32Type(), value), e.bitcast(e.f32Type(), cut))));
  return low;
}

/// sums [block][piece][4] += a b of one k step, for pieces [first, first + count) of `pieces`. `a`
/// is [block][part].
void KernelEmitter::multiplyStep(const DotOperands &dot, ArrayRef<SmallVector<Registers, 2>> a,
                                 Value step, bool isHalfStep, int64_t first, int64_t count,
                                 int64_t pieces, Registers &sums) {
  const DotPlan &how = dot.plan;
  for (int64_t piece = 0; piece < count; piece += 2) {
    const int64_t width = std::min<int64_t>(2, count - piece);
    SmallVector<SmallVector<Registers, 2>, 2> b; // [part][piece]
    for (int part = 0; part < how.partsB; ++part)
      b.push_back(columnFragments(dot, part, step, isHalfStep, first + piece, width));
    if (how.products == Products::Tf32)
      for (Registers &fragment : b[0])
        fragment = roundedTf32(fragment);
    for (size_t block = 0; block < a.size(); ++block)
      for (int64_t i = 0; i < width; ++i)
        // Small products first; low times low is below what float32 holds.
        for (int partA = how.partsA; partA-- > 0;)
          for (int partB = how.partsB; partB-- > 0;)
            if (partA + partB < 2)
              e.multiply(how.element, a[block][partA], b[partB][i],
                         &sums[(block * pieces + first + piece + i) * 4]);
  }
}

/// The same as tf32x3, into sums of high and of low products, [block][piece of the group][4] each.
void KernelEmitter::multiplyStepPrecisely(const DotOperands &dot, ArrayRef<Registers> a, Value step,
                                          int64_t first, int64_t count, Registers &high,
                                          Registers &low) {
  SmallVector<Registers, 2> aHigh;
  SmallVector<Registers, 2> aLow;
  for (const Registers &whole : a) {
    aHigh.push_back(highTf32(whole));
    aLow.push_back(lowTf32(whole, aHigh.back()));
  }
  for (int64_t piece = 0; piece < count; piece += 2) {
    const int64_t width = std::min<int64_t>(2, count - piece);
    const SmallVector<Registers, 2> b = columnFragments(dot, 0, step, false, first + piece, width);
    for (int64_t i = 0; i < width; ++i) {
      const Registers bHigh = highTf32(b[i]);
      const Registers bLow = lowTf32(b[i], bHigh);
      for (size_t block = 0; block < a.size(); ++block) {
        const size_t at = (block * count + piece + i) * 4;
        e.multiply(dot.plan.element, aLow[block], bHigh, &low[at]);
        e.multiply(dot.plan.element, aHigh[block], bLow, &low[at]);
        e.multiply(dot.plan.element, aHigh[block], bHigh, &high[at]);
      }
    }
  }
}

/// sums += a b over all of k, for pieces [first, first + count).
void KernelEmitter::multiplyPieces(const DotOperands &dot, const RowSplit &split, int64_t first,
                                   int64_t count, int64_t pieces, Registers &sums) {
  const DotPlan &how = dot.plan;
  if (how.products != Products::Tf32x3) {
    for (int64_t step = 0; step < dot.innerSteps; ++step) {
      const bool isHalfStep = dot.hasHalfStep && step == dot.innerSteps - 1;
      SmallVector<SmallVector<Registers, 2>, 2> a(split.blocks);
      for (int64_t block = 0; block < split.blocks; ++block)
        for (int part = 0; part < how.partsA; ++part) {
          a[block].push_back(dot.held
                                 ? (*dot.held)[block][part][step]
                                 : rowFragment(dot.a[part], block * 16, e.i32(step), isHalfStep));
          if (how.products == Products::Tf32)
            a[block].back() = roundedTf32(a[block].back());
        }
      multiplyStep(dot, a, e.i32(step), isHalfStep, first, count, pieces, sums);
    }
    return;
  }
  // High and low sums of eight steps, then added with rounding.
  constexpr int64_t stepsBetweenRoundings = 8;
  const int64_t registers = split.blocks * count * 4;
  const Registers zeros(registers, e.f32(0));
  auto fold = [&](Registers &into, ArrayRef<Value> high, ArrayRef<Value> low) {
    for (int64_t block = 0; block < split.blocks; ++block)
      for (int64_t i = 0; i < count * 4; ++i) {
        Value &sum = into[(block * pieces + first) * 4 + i];
        sum = e.addFloat(sum, e.addFloat(high[block * count * 4 + i], low[block * count * 4 + i]));
      }
  };
  if (dot.held) {
    for (int64_t start = 0; start < dot.innerSteps; start += stepsBetweenRoundings) {
      Registers high = zeros;
      Registers low = zeros;
      for (int64_t step = start; step < std::min(start + stepsBetweenRoundings, dot.innerSteps);
           ++step) {
        SmallVector<Registers, 2> a;
        for (int64_t block = 0; block < split.blocks; ++block)
          a.push_back((*dot.held)[block][0][step]);
        multiplyStepPrecisely(dot, a, e.i32(step), first, count, high, low);
      }
      fold(sums, high, low);
    }
    return;
  }
  // Both operands lie in shared memory: the steps are a loop, a fraction of the code.
  OpBuilder &b = e.builder;
  auto outer = scf::ForOp::create(b, e.loc, e.i32(0), e.i32(dot.innerSteps),
                                  e.i32(stepsBetweenRoundings), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(outer.getBody());
    Value start = outer.getInductionVar();
    Value end = e.minimum(e.add(start, stepsBetweenRoundings), e.i32(dot.innerSteps));
    Registers both = zeros;
    both.append(zeros);
    auto inner = scf::ForOp::create(b, e.loc, start, end, e.i32(1), both);
    {
      OpBuilder::InsertionGuard innerGuard(b);
      b.setInsertionPointToStart(inner.getBody());
      Registers high(inner.getRegionIterArgs().take_front(registers));
      Registers low(inner.getRegionIterArgs().drop_front(registers));
      SmallVector<Registers, 2> a;
      for (int64_t block = 0; block < split.blocks; ++block)
        a.push_back(rowFragment(dot.a[0], block * 16, inner.getInductionVar(), false));
      multiplyStepPrecisely(dot, a, inner.getInductionVar(), first, count, high, low);
      high.append(low);
      scf::YieldOp::create(b, e.loc, high);
    }
    Registers next(outer.getRegionIterArgs());
    const SmallVector<Value> results(inner.getResults());
    fold(next, ArrayRef<Value>(results).take_front(registers),
         ArrayRef<Value>(results).drop_front(registers));
    scf::YieldOp::create(b, e.loc, next);
  }
  sums = Registers(outer.getResults());
}

void KernelEmitter::emitDot(tile::DotOp op) {
  const RankedTensorType type = op.getResult().getType();
  const RowSplit split = plan.split(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  const int64_t k = op.getA().getType().getDimSize(1);
  DotOperands dot;
  dot.plan = plan.dot(op);
  dot.isTransposed = op.getTransposeB();
  const int64_t chunks = k * (dot.plan.products == Products::Half ? 2 : 4) / 16;
  dot.innerSteps = (chunks + 1) / 2;
  dot.hasHalfStep = chunks % 2 != 0;

  Fragments computed;
  if (tile::LoadOp load = loadOf(op.getA()); load && plan.isPreloaded(op)) {
    dot.held = &fragments[op];
  } else if (load) {
    for (int part = 0; part < dot.plan.partsA; ++part) {
      SharedOperand operand = sharedForm(
          load, KernelPlan::form(dot.plan, load.getResult().getType().getElementType()), part);
      operand.base = e.offset(operand.base, e.mul(firstRow(split), operand.tile.rowBytes()));
      dot.a.push_back(operand);
    }
  } else {
    computed = computedFragments(op.getA(), dot.plan);
    dot.held = &computed;
    dot.isPermuted = dot.plan.products != Products::Half;
  }
  if (tile::LoadOp load = loadOf(op.getB()))
    for (int part = 0; part < dot.plan.partsB; ++part)
      dot.b.push_back(sharedForm(
          load, KernelPlan::form(dot.plan, load.getResult().getType().getElementType()), part));
  else
    dot.b = storeOperand(op, dot.plan);
  for (const SharedOperand &operand : llvm::concat<SharedOperand>(dot.a, dot.b))
    underWay.reads.push_back(operand.range);

  Registers sums;
  if (op.getAccumulator())
    llvm::append_range(sums, registersOf(op.getAccumulator()));
  else
    sums.assign(split.blocks * pieces * 4, e.f32(0));
  // Precise products hold three sums of each piece: a few pieces at a time, more where a is read
  // anew for each group.
  const int64_t group = dot.plan.products != Products::Tf32x3 ? pieces : dot.held ? 2 : 8;
  for (int64_t piece = 0; piece < pieces; piece += group) {
    // Where sums take most registers, ptxas would fetch operands of later groups ahead, and spill.
    if (piece && pieces > 12 && dot.held && dot.plan.products == Products::Tf32x3)
      e.warpBarrier();
    multiplyPieces(dot, split, piece, std::min(group, pieces - piece), pieces, sums);
  }
  setRegisters(op.getResult(), sums);
}

} // namespace nysjit::gpu
