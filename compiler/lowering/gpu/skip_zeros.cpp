// Dots whose a's zeros hide b (skips_zeros): zero times a NaN or an infinity is a NaN, and a row
// may not even see that it is there. Before such a dot the block looks whether b, in shared memory,
// is finite; it nearly always is, and no more is done. Else what is not finite becomes 0, and a's
// other numbers in that column NaN, so that the rows that do see it are NaN.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

namespace {

/// The numbers of a 32-bit word as bits: (word & magnitude) + step has a bit of `marks` for each
/// that is not finite.
struct WordBits {
  int32_t magnitude;
  int32_t step;
  int32_t marks;
  int32_t marksShift; // a mark >> marksShift, times `ones`: all bits of its number
  int32_t ones;
  int32_t nan;

  static WordBits of(Type element, int64_t bytes) {
    if (bytes == 4)
      return {0x7fffffff, 0x00800000, int32_t(0x80000000u), 31, -1, 0x7fc00000};
    if (element.isBF16())
      return {0x7fff7fff, 0x00800080, int32_t(0x80008000u), 15, 0xffff, 0x7fc07fc0};
    return {0x7fff7fff, 0x04000400, int32_t(0x80008000u), 15, 0xffff, 0x7e007e00};
  }
};

/// Words of shared memory, 16 bytes at a time.
VectorType chunkType(WarpBuilder &e) { return VectorType::get({4}, e.i32Type()); }

Value marksOf(WarpBuilder &e, Value word, const WordBits &bits) {
  return e.add(e.bitAnd(word, bits.magnitude), bits.step);
}

/// `body` for each of this thread's chunks of `count`, with a number that it passes on.
Value forChunks(WarpBuilder &e, int64_t threads, int64_t count, Value initial,
                llvm::function_ref<Value(Value index, Value carried)> body) {
  OpBuilder &b = e.builder;
  auto loop = scf::ForOp::create(b, e.loc, e.threadIdHere(), e.i32(count), e.i32(threads),
                                 ValueRange{initial});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b, e.loc,
                       ValueRange{body(loop.getInductionVar(), loop.getRegionIterArg(0))});
  return loop.getResult(0);
}

} // namespace

/// Whether any number of dot's b is not finite; a barrier. Of several terms only the first may be
/// so by itself: the others are what it leaves of the number.
Value KernelEmitter::isSomeNotFinite(const DotOperands &dot) {
  const SharedOperand &b = dot.b[0];
  const WordBits bits = WordBits::of(dot.plan.element, b.tile.elementBytes);
  Value marks =
      forChunks(e, plan.threads(), b.tile.bytes() / 16, e.i32(0), [&](Value index, Value found) {
        Value words = e.load(chunkType(e), e.offset(b.base, e.mul(index, 16)), 16);
        for (int64_t i = 0; i < 4; ++i)
          found =
              arith::OrIOp::create(e.builder, e.loc, found, marksOf(e, e.element(words, i), bits));
        return found;
      });
  Value own = arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ne,
                                    e.bitAnd(marks, bits.marks), e.i32(0));
  underWay = {};
  return e.intrinsic("llvm.nvvm.barrier.cta.red.or.aligned.all", e.builder.getI1Type(),
                     {e.i32(0), own});
}

/// Zeros in place of what is not finite, and a NaN for its row among `flags`, else 0.
void KernelEmitter::hideNotFinite(const DotOperands &dot, Value flags) {
  const Value zero = e.i32(0);
  forChunks(e, plan.threads(), dot.b[0].tile.rows, zero, [&](Value row, Value) {
    e.store(e.f32(0), e.offset(flags, e.mul(row, 4)), 4);
    return zero;
  });
  e.barrier();
  for (const SharedOperand &b : dot.b) {
    const WordBits bits = WordBits::of(dot.plan.element, b.tile.elementBytes);
    const int64_t count = b.tile.bytes() / 16;
    forChunks(e, plan.threads(), count, zero, [&](Value index, Value) {
      Value address = e.offset(b.base, e.mul(index, 16));
      Value words = e.load(chunkType(e), address, 16);
      SmallVector<Value> finite;
      Value found = zero;
      for (int64_t i = 0; i < 4; ++i) {
        Value word = e.element(words, i);
        Value marks = e.bitAnd(marksOf(e, word, bits), bits.marks);
        found = arith::OrIOp::create(e.builder, e.loc, found, marks);
        Value ones = e.mul(arith::ShRUIOp::create(e.builder, e.loc, marks, e.i32(bits.marksShift)),
                           bits.ones);
        Value isKept = e.bitXor(ones, e.i32(-1));
        finite.push_back(arith::AndIOp::create(e.builder, e.loc, word, isKept));
      }
      Value isFound =
          arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ne, found, zero);
      e.when(isFound, [&] {
        e.store(e.vectorOf(finite), address, 16);
        Value row = e.divide(index, b.tile.chunks());
        Value nan = e.bitcast(e.f32Type(), e.i32(0x7fc00000));
        e.store(nan, e.offset(flags, e.mul(row, 4)), 4);
      });
      return zero;
    });
  }
  e.barrier();
}

/// a's registers, NaN where they are not 0 and their row of b is flagged.
Registers KernelEmitter::withNaNs(const Registers &a, const WarpRows &warpRows, int64_t pieces,
                                  Value flags) {
  Registers marked;
  Value own = e.offset(flags, e.mul(laneColumn, 4));
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t piece = 0; piece < pieces; ++piece) {
      Value pair = e.load(VectorType::get({2}, e.f32Type()), e.offset(own, piece * 32), 8);
      for (int64_t i = 0; i < 4; ++i) {
        Value number = a[(band * pieces + piece) * 4 + i];
        Value isZero =
            arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::OEQ, number, e.f32(0));
        marked.push_back(e.select(isZero, number, e.addFloat(number, e.element(pair, i % 2))));
      }
    }
  return marked;
}

Registers KernelEmitter::skipZeros(tile::DotOp op, const DotOperands &dot, const Registers &a,
                                   Value &isHidden) {
  const WarpRows warpRows = plan.warpRows(tileType(op.getA()).getDimSize(0));
  const int64_t rows = dot.b[0].tile.rows;
  const SharedRange scratch = plan.scratch(op);
  Value flags = sharedAddress(scratch.end - rows * 4);
  isHidden = isSomeNotFinite(dot);
  underWay.reads.push_back(scratch);
  return e.valuesWhen(
      isHidden,
      [&]() -> Registers {
        hideNotFinite(dot, flags);
        return withNaNs(a, warpRows, pieces(op.getA()), flags);
      },
      a);
}

/// Rows of b that were hidden are NaN again, for who else reads them.
void KernelEmitter::showHidden(tile::DotOp op, const DotOperands &dot, Value isHidden) {
  Load load = loadOf(op.getB());
  if (!load || (load->hasOneUse() && load->getBlock() == op->getBlock()))
    return;
  Value flags = sharedAddress(plan.scratch(op).end - dot.b[0].tile.rows * 4);
  e.when(isHidden, [&] {
    e.barrier();
    for (const SharedOperand &b : dot.b) {
      const WordBits bits = WordBits::of(dot.plan.element, b.tile.elementBytes);
      const Value zero = e.i32(0);
      forChunks(e, plan.threads(), b.tile.bytes() / 16, zero, [&](Value index, Value) {
        Value row = e.divide(index, b.tile.chunks());
        Value flag = e.load(e.i32Type(), e.offset(flags, e.mul(row, 4)), 4);
        Value isFlagged =
            arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ne, flag, zero);
        e.when(isFlagged, [&] {
          e.store(e.vectorOf(SmallVector<Value>(4, e.i32(bits.nan))),
                  e.offset(b.base, e.mul(index, 16)), 16);
        });
        return zero;
      });
    }
    e.barrier();
  });
}

} // namespace nysjit::gpu
