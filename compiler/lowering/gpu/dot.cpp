// tile.dot as mma.sync: a's fragments from registers or shared memory, b's from shared memory by
// ldmatrix.
//
// One k step is two chunks of 16 bytes of a row: 16 columns of 16-bit numbers (m16n8k16) or 8 of
// float32 (m16n8k8, tf32). So one ldmatrix pattern serves both: an 8x8 matrix of 16-bit numbers is
// an 8x4 matrix of float32.
//
// float32 products (tf32x3) are a_high b_high + a_high b_low + a_low b_high with high and low terms
// of 11 bits each; a 16-bit operand is its high term. Tensor cores cut sums off rather than round
// them, which adds up to a bias: sums are kept for eight steps at most, low and high ones apart,
// and then added with rounding. Products of one step have one sum, low ones first: it is cut off
// once more and takes half the registers.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

/// Rounded to tf32; what would become an infinity is cut off, for that would make NaNs of masked
/// rows.
Registers KernelEmitter::roundedTf32(ValueRange values) {
  Registers all;
  for (Value value : values) {
    Value rounded = e.roundToTf32(e.bitcast(e.f32Type(), value));
    Value isInfinite = e.equal(e.bitAnd(rounded, 0x7fffffff), 0x7f800000);
    Value cut = e.bitAnd(e.bitcast(e.i32Type(), value), static_cast<int32_t>(0xffffe000u));
    all.push_back(e.select(isInfinite, cut, rounded));
  }
  return all;
}

/// The same of numbers that may have been rounded before (`isExact`).
Registers KernelEmitter::asTf32(ValueRange values, bool isExact) {
  if (!isExact)
    return roundedTf32(values);
  return llvm::map_to_vector<8>(values, [&](Value v) { return e.bitcast(e.i32Type(), v); });
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

/// sums [band][piece][4] += a b of one k step, for pieces [first, first + count) of `pieces`. `a`
/// is [band][term].
void KernelEmitter::multiplyStep(const DotOperands &dot, ArrayRef<SmallVector<Registers, 2>> a,
                                 Value step, bool isHalfStep, int64_t first, int64_t count,
                                 int64_t pieces, Registers &sums) {
  const DotPlan &how = dot.plan;
  for (int64_t piece = 0; piece < count; piece += 2) {
    const int64_t width = std::min<int64_t>(2, count - piece);
    SmallVector<SmallVector<Registers, 2>, 2> b; // [term][piece]
    for (int term = 0; term < how.termsB; ++term)
      b.push_back(columnFragments(dot, term, step, isHalfStep, first + piece, width));
    if (how.products == Products::Tf32)
      for (Registers &fragment : b[0])
        fragment = asTf32(fragment, how.isExactB);
    for (size_t band = 0; band < a.size(); ++band)
      for (int64_t i = 0; i < width; ++i)
        // Small products first; low times low is below what float32 holds.
        for (int termA = how.termsA; termA-- > 0;)
          for (int termB = how.termsB; termB-- > 0;)
            if (termA + termB < 2)
              e.multiply(how.element, a[band][termA], b[termB][i],
                         &sums[(band * pieces + first + piece + i) * 4]);
  }
}

/// The same as tf32x3, into sums of high and of low products, [band][piece of the group][4] each,
/// which may be the same. Products with a low term that is zero, an exact operand's, are left out.
void KernelEmitter::multiplyStepPrecisely(const DotOperands &dot, ArrayRef<Registers> a, Value step,
                                          int64_t first, int64_t count, Registers &high,
                                          Registers &low) {
  const auto split = [&](const Registers &whole, bool isExact) -> std::pair<Registers, Registers> {
    if (isExact)
      return {asTf32(whole, true), {}};
    const Registers cut = highTf32(whole);
    return {cut, lowTf32(whole, cut)};
  };
  SmallVector<Registers, 2> aHigh;
  SmallVector<Registers, 2> aLow;
  for (const Registers &whole : a) {
    auto [cut, rest] = split(whole, dot.plan.isExactA);
    aHigh.push_back(cut);
    aLow.push_back(rest);
  }
  for (int64_t piece = 0; piece < count; piece += 2) {
    const int64_t width = std::min<int64_t>(2, count - piece);
    const SmallVector<Registers, 2> b = columnFragments(dot, 0, step, false, first + piece, width);
    for (int64_t i = 0; i < width; ++i) {
      const auto [bHigh, bLow] = split(b[i], dot.plan.isExactB);
      for (size_t band = 0; band < a.size(); ++band) {
        const size_t at = (band * count + piece + i) * 4;
        if (!dot.plan.isExactA)
          e.multiply(dot.plan.element, aLow[band], bHigh, &low[at]);
        if (!dot.plan.isExactB)
          e.multiply(dot.plan.element, aHigh[band], bLow, &low[at]);
        e.multiply(dot.plan.element, aHigh[band], bHigh, &high[at]);
      }
    }
  }
}

/// sums += a b over all of k, for pieces [first, first + count).
void KernelEmitter::multiplyPieces(const DotOperands &dot, const WarpRows &warpRows, int64_t first,
                                   int64_t count, int64_t pieces, Registers &sums) {
  const DotPlan &how = dot.plan;
  if (how.products == Products::Tf32x3)
    return multiplyPiecesPrecisely(dot, warpRows, first, count, pieces, sums);
  for (int64_t step = 0; step < dot.innerSteps; ++step) {
    const bool isHalfStep = dot.isHalf(step);
    SmallVector<SmallVector<Registers, 2>, 2> a(warpRows.bands);
    for (int64_t band = 0; band < warpRows.bands; ++band)
      for (int term = 0; term < how.termsA; ++term) {
        a[band].push_back(dot.held
                              ? (*dot.held)[band][term][step]
                              : sharedFragment(dot, term, warpRows, band, e.i32(step), isHalfStep));
        if (how.products == Products::Tf32)
          a[band].back() = asTf32(a[band].back(), how.isExactA);
      }
    multiplyStep(dot, a, e.i32(step), isHalfStep, first, count, pieces, sums);
  }
}

/// The same as tf32x3: high and low sums of eight steps, or all of one, then added with rounding.
void KernelEmitter::multiplyPiecesPrecisely(const DotOperands &dot, const WarpRows &warpRows,
                                            int64_t first, int64_t count, int64_t pieces,
                                            Registers &sums) {
  constexpr int64_t stepsBetweenRoundings = 8;
  const int64_t registers = warpRows.bands * count * 4;
  const Registers zeros(registers, e.f32(0));
  auto fold = [&](Registers &into, ArrayRef<Value> high, ArrayRef<Value> low) {
    for (int64_t i = 0; i < registers; ++i) {
      Value &sum = into[(i / (count * 4) * pieces + first) * 4 + i % (count * 4)];
      sum = e.addFloat(sum, low.empty() ? high[i] : e.addFloat(high[i], low[i]));
    }
  };
  if (dot.held) {
    const bool isOneStep = dot.innerSteps == 1;
    for (int64_t start = 0; start < dot.innerSteps; start += stepsBetweenRoundings) {
      Registers high = zeros;
      Registers low = zeros;
      for (int64_t step = start; step < std::min(start + stepsBetweenRoundings, dot.innerSteps);
           ++step) {
        SmallVector<Registers, 2> a;
        for (int64_t band = 0; band < warpRows.bands; ++band)
          a.push_back((*dot.held)[band][0][step]);
        multiplyStepPrecisely(dot, a, e.i32(step), first, count, high, isOneStep ? high : low);
      }
      fold(sums, high, isOneStep ? ArrayRef<Value>() : low);
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
      for (int64_t band = 0; band < warpRows.bands; ++band)
        a.push_back(sharedFragment(dot, 0, warpRows, band, inner.getInductionVar(), false));
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

void KernelEmitter::DotOperands::setInner(tile::DotOp op) {
  isTransposedA = op.getTransposeA();
  isTransposedB = op.getTransposeB();
  const int64_t k = op.getA().getType().getDimSize(isTransposedA ? 0 : 1);
  const int64_t chunks = k * (plan.products == Products::Half ? 2 : 4) / 16;
  innerSteps = (chunks + 1) / 2;
  hasHalfStep = chunks % 2 != 0;
}

/// Where op's operands are, those that are computed brought there; `computed` holds a's fragments
/// then. `isHidden`: see skipZeros; null if op does not.
KernelEmitter::DotOperands KernelEmitter::operandsOf(tile::DotOp op, const WarpRows &warpRows,
                                                     Fragments &computed, Value &isHidden) {
  DotOperands dot;
  dot.plan = plan.dot(op);
  dot.setInner(op);
  SharedRange stored = plan.scratch(op);
  bool isStored = false;
  auto store = [&](Value operand, int terms) {
    const int64_t bytes = tileType(operand).getNumElements() * 4;
    const SharedRange range = {stored.begin, stored.begin + bytes};
    stored.begin = range.end;
    isStored = true;
    return storeOperand(operand, dot.plan, terms, range);
  };
  if (auto found = fragments.find(op); found != fragments.end()) {
    dot.held = &found->second;
  } else if (Load load = loadOf(op.getA())) {
    for (int term = 0; term < dot.plan.termsA; ++term)
      dot.a.push_back(rowsInShared(load, dot, term, warpRows));
  } else if (dot.isTransposedA) {
    dot.a = store(op.getA(), dot.plan.termsA);
  }
  if (Load load = loadOf(op.getB()))
    for (int term = 0; term < dot.plan.termsB; ++term)
      dot.b.push_back(sharedForm(
          load, KernelPlan::form(dot.plan, load.getResult().getType().getElementType()), term));
  else
    dot.b = store(op.getB(), dot.plan.termsB);
  if (isStored)
    barrier();
  if (dot.a.empty() && !dot.held) {
    Registers a(ArrayRef<Value>(registersOf(op.getA())));
    if (op.getSkipsZeros())
      a = skipZeros(op, dot, a, isHidden);
    computed = computedFragments(tileType(op.getA()), a, dot.plan);
    dot.held = &computed;
    dot.isPermuted = dot.plan.products != Products::Half;
  }
  for (const SharedOperand &operand : llvm::concat<SharedOperand>(dot.a, dot.b))
    underWay.reads.push_back(operand.range);
  return dot;
}

void KernelEmitter::emitDot(tile::DotOp op) {
  const RankedTensorType type = op.getResult().getType();
  const WarpRows warpRows = plan.warpRows(type.getDimSize(0));
  const int64_t pieces = type.getDimSize(1) / 8;
  Fragments computed;
  Value isHidden;
  const DotOperands dot = operandsOf(op, warpRows, computed, isHidden);
  Registers sums;
  if (op.getAccumulator())
    llvm::append_range(sums, registersOf(op.getAccumulator()));
  else
    sums.assign(warpRows.bands * pieces * 4, e.f32(0));
  // Precise products hold three sums of each piece: a few pieces at a time, more where a is read
  // anew for each group.
  const int64_t group = dot.plan.products != Products::Tf32x3 ? pieces : dot.held ? 2 : 8;
  for (int64_t piece = 0; piece < pieces; piece += group) {
    // Where sums take most registers, ptxas would fetch operands of later groups ahead, and spill.
    if (piece && pieces > 12 && dot.held && dot.plan.products == Products::Tf32x3)
      e.warpBarrier();
    multiplyPieces(dot, warpRows, piece, std::min(group, pieces - piece), pieces, sums);
  }
  setRegisters(op.getResult(), sums);
  if (isHidden)
    showHidden(op, dot, isHidden);
}

} // namespace nysjit::gpu
