// A dot's operands as the fragments that mma.sync takes: from registers, or from shared memory by
// ldmatrix.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

KernelEmitter::SharedOperand KernelEmitter::sharedForm(Load load, Form form, int term) {
  const SharedLoad &shared = *plan.shared(load);
  if (form == Form::Raw) {
    Value base = sharedAddress(shared.raw.offset);
    if (Value stage = stagesInUse.lookup(load))
      base = e.offset(base, e.mul(stage, shared.raw.bytes()));
    return {shared.raw, base, shared.copied()};
  }
  const SharedTile &tile = form == Form::Terms ? shared.terms[term] : *shared.widened;
  return {tile, sharedAddress(tile.offset), {tile.offset, tile.offset + tile.bytes()}};
}

KernelEmitter::SharedOperand KernelEmitter::rowsInShared(Load load, const DotOperands &dot,
                                                         int term, const WarpRows &warpRows) {
  const Type element = load.getResult().getType().getElementType();
  SharedOperand operand = sharedForm(load, KernelPlan::form(dot.plan, element), term);
  if (!dot.isTransposedA)
    operand.base = e.offset(operand.base, e.mul(firstRow(warpRows), operand.tile.rowBytes()));
  return operand;
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

Registers KernelEmitter::rowFragment(const SharedOperand &operand, int64_t band, Value step,
                                     bool isHalfStep) {
  Value rows = e.bitAnd(lane, 15);
  return loadMatrices(operand, e.i32(band * 16), e.mul(step, 2), rows,
                      isHalfStep ? e.i32(0) : e.divide(lane, 16), isHalfStep ? 2 : 4, false);
}

Registers KernelEmitter::transposedFragment(const SharedOperand &operand, const WarpRows &warpRows,
                                            int64_t band, Value step, bool isHalfStep) {
  const SharedTile &tile = operand.tile;
  if (tile.elementBytes ==
      2) { // matrices (k, m), (k, m + 8), (k + 8, m), ...; transposed on the way
    Value rows = e.bitAnd(lane, 7);
    if (!isHalfStep)
      rows = e.add(rows, e.mul(e.divide(lane, 16), 8));
    Value chunk = e.add(e.divide(firstRow(warpRows), 8), band * 2);
    return loadMatrices(operand, e.mul(step, 16), chunk, rows, e.bitAnd(e.divide(lane, 8), 1),
                        isHalfStep ? 2 : 4, true);
  }
  // ldmatrix cannot transpose float32: lane 4 g + t takes k = t, t + 4 and columns g, g + 8.
  Registers values;
  Value base = e.offset(operand.base, e.mul(e.bitAnd(laneRow, 3), 4));
  Value first = e.divide(firstRow(warpRows), 4);
  for (int64_t k : {0, 4})
    for (int64_t half : {0, 1}) {
      Value chunk = e.add(first, band * 4 + half * 2);
      Value at = chunkAddress(tile, base, e.add(e.bitAnd(lane, 3), k), e.divide(laneRow, 4), chunk);
      values.push_back(e.load(e.f32Type(), e.offset(at, e.mul(step, 8 * tile.rowBytes())), 4));
    }
  return values;
}

Registers KernelEmitter::sharedFragment(const DotOperands &dot, int term, const WarpRows &warpRows,
                                        int64_t band, Value step, bool isHalfStep) {
  return dot.isTransposedA ? transposedFragment(dot.a[term], warpRows, band, step, isHalfStep)
                           : rowFragment(dot.a[term], band, step, isHalfStep);
}

SmallVector<Registers, 2> KernelEmitter::columnFragments(const DotOperands &dot, int term,
                                                         Value step, bool isHalfStep, int64_t piece,
                                                         int64_t count) {
  const SharedOperand &operand = dot.b[term];
  if (dot.plan.products != Products::Half && (!dot.isTransposedB || dot.isPermuted))
    return floatFragments(dot, step, piece, count);
  Registers all;
  if (!dot.isTransposedB) { // rows are k: two 8x8 matrices a piece, transposed on the way
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
    if (dot.isTransposedB) { // both numbers of a pair, beside each other in the row
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
Fragments KernelEmitter::computedFragments(RankedTensorType type, ArrayRef<Value> values,
                                           const DotPlan &dot) {
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  auto piece = [&](int64_t band, int64_t index) {
    return values.slice((band * pieces + index) * 4, 4);
  };
  Fragments fragments(warpRows.bands);
  for (int64_t band = 0; band < warpRows.bands; ++band) {
    fragments[band].resize(dot.termsA);
    if (dot.products != Products::Half) {
      for (int64_t index = 0; index < pieces; ++index) {
        ArrayRef<Value> own = piece(band, index);
        fragments[band][0].push_back({own[0], own[2], own[1], own[3]});
      }
      continue;
    }
    for (int64_t first = 0; first < pieces; first += 2) {
      SmallVector<Value> left(piece(band, first));
      if (first + 1 < pieces)
        llvm::append_range(left, piece(band, first + 1));
      for (int term = 0; term < dot.termsA; ++term) {
        Registers packed;
        for (size_t i = 0; i < left.size(); i += 2) {
          packed.push_back(e.pack(dot.element, left[i], left[i + 1]));
          if (term + 1 < dot.termsA) {
            auto [low, high] = e.unpack(dot.element, packed.back());
            left[i] = e.subtract(left[i], low);
            left[i + 1] = e.subtract(left[i + 1], high);
          }
        }
        fragments[band][term].push_back(packed);
      }
    }
  }
  return fragments;
}

/// Fragments of row operands that stay in registers from their load on.
void KernelEmitter::preload(Load load) {
  for (Operation *user : load->getUsers()) {
    auto op = dyn_cast<tile::DotOp>(user);
    if (!op || !plan.isPreloaded(op) || op.getA() != load.getResult())
      continue;
    const WarpRows warpRows = plan.warpRows(op.getResult().getType().getDimSize(0));
    DotOperands dot;
    dot.plan = plan.dot(op);
    dot.setInner(op);
    Fragments held(warpRows.bands);
    for (int term = 0; term < dot.plan.termsA; ++term) {
      dot.a.push_back(rowsInShared(load, dot, term, warpRows));
      underWay.reads.push_back(dot.a.back().range);
      for (int64_t band = 0; band < warpRows.bands; ++band) {
        held[band].resize(dot.plan.termsA);
        for (int64_t step = 0; step < dot.innerSteps; ++step)
          held[band][term].push_back(
              sharedFragment(dot, term, warpRows, band, e.i32(step), dot.isHalf(step)));
      }
    }
    fragments[op] = held;
  }
}

/// Row operands that are computed before a loop and that it only multiplies, as 16-bit fragments
/// from there on: half the registers of what they were computed in, and no packing in the loop.
void KernelEmitter::packBefore(Operation *loop) {
  auto isOutside = [](Value value, Operation *of) {
    return !of->isAncestor(value.getParentRegion()->getParentOp());
  };
  auto isHeldBy = [&](tile::DotOp op) {
    return !loadOf(op.getA()) && !op.getTransposeA() && !op.getSkipsZeros() &&
           plan.dot(op).products == Products::Half;
  };
  auto outer = loop->getParentOfType<LoopLikeOpInterface>();
  loop->walk([&](tile::DotOp op) {
    Value a = op.getA();
    if (!isOutside(a, loop) || (outer && isOutside(a, outer)))
      return;
    const bool isOnlyMultiplied = llvm::all_of(a.getUses(), [&](OpOperand &use) {
      auto dot = dyn_cast<tile::DotOp>(use.getOwner());
      return !loop->isAncestor(use.getOwner()) ||
             (dot && isHeldBy(dot) && &use == &dot.getAMutable());
    });
    if (isOnlyMultiplied)
      fragments[op] = computedFragments(tileType(a), registersOf(a), plan.dot(op));
  });
}

/// A computed operand of which warps need what others hold: it goes through shared memory. The
/// barrier is the caller's.
SmallVector<KernelEmitter::SharedOperand, 2>
KernelEmitter::storeOperand(Value operand, const DotPlan &dot, int terms, SharedRange range) {
  const RankedTensorType type = tileType(operand);
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const SmallVector<Value> values = registersOf(operand);
  const int64_t bytes = dot.products == Products::Half ? 2 : 4;
  const int64_t pieces = type.getDimSize(1) / 8;
  SmallVector<SharedOperand, 2> operands;
  for (int term = 0; term < terms; ++term) {
    const SharedTile tile{range.begin + term * type.getNumElements() * 2, type.getDimSize(0),
                          type.getDimSize(1), bytes};
    operands.push_back({tile, sharedAddress(tile.offset), range});
  }
  awaitReaders(range);
  onWarpsOf(warpRows.warps, [&] {
    Value first = e.add(firstRow(warpRows), laneRow);
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int64_t half = 0; half < warpRows.halves; ++half)
        for (int64_t piece = 0; piece < pieces; ++piece) {
          const int64_t at = ((band * pieces + piece) * warpRows.halves + half) * 2;
          Value row = e.add(first, band * 16 + half * 8);
          Value low = values[at];
          Value high = values[at + 1];
          if (bytes == 4) { // two of the four numbers of a chunk
            Value chunk = e.add(e.divide(laneColumn, 4), 2 * piece);
            Value to =
                e.add(swizzled(operands[0].tile, row, chunk), e.mul(e.bitAnd(laneColumn, 3), 4));
            e.store(e.vectorOf({low, high}), e.offset(operands[0].base, to), 8);
            continue;
          }
          for (const SharedOperand &term : operands) {
            Value packed = e.pack(dot.element, low, high);
            e.store(packed,
                    e.offset(term.base,
                             e.add(swizzled(term.tile, row, e.i32(piece)), e.mul(laneColumn, 2))),
                    4);
            auto [roundedLow, roundedHigh] = e.unpack(dot.element, packed);
            low = e.subtract(low, roundedLow);
            high = e.subtract(high, roundedHigh);
          }
        }
  });
  return operands;
}

} // namespace nysjit::gpu
