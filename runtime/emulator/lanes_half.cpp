// f16, bf16 and their pairs. Sums, products and quotients of 11-bit (8-bit) significands round
// correctly by way of float's 24 bits; fma goes through double, its result rounded to odd, so that
// the last rounding sees what was cut off.
#include "runtime/emulator/lanes_loop.h"

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

template <bool brain> inline float widen(uint16_t h) {
  return brain ? bfloatToFloat(h) : halfToFloat(h);
}
template <bool brain> inline uint16_t narrow(float f) {
  return brain ? floatToBfloat(f) : floatToHalf(f);
}
template <bool brain> inline uint16_t flushHalf(uint16_t h) {
  return !brain && (h & 0x7c00) == 0 ? h & 0x8000 : h;
}

/// Each half (or the low one) of the operands through `f`, which takes and gives 16 bits.
template <uint32_t operands, bool pair, typename F>
inline void halves(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  alignas(64) uint32_t in[3][32] = {};
  alignas(64) uint32_t out[32];
  for (uint32_t o = 0; o < operands; ++o)
    __builtin_memcpy(in[o], r + i.op[1 + o], 128);
  for (uint32_t l = 0; l < 32; ++l) {
    uint32_t low = f(uint16_t(in[0][l]), uint16_t(in[1][l]), uint16_t(in[2][l]));
    uint32_t high =
        pair ? f(uint16_t(in[0][l] >> 16), uint16_t(in[1][l] >> 16), uint16_t(in[2][l] >> 16)) : 0;
    out[l] = low | high << 16;
  }
  commit(r, i.op[0], out, mask);
}

struct Finish {
  bool ftz;
  bool saturate;
  bool relu;
  explicit Finish(const Instruction &i) : ftz(i.ftz), saturate(i.saturate), relu(i.relu) {}
  template <bool brain> uint16_t operator()(float x) const {
    if (saturate)
      x = x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
    if (relu)
      x = x < 0 ? 0.0f : x;
    uint16_t h = narrow<brain>(x);
    return ftz ? flushHalf<brain>(h) : h;
  }
};

template <bool brain, bool pair, typename F>
inline void through2(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  Finish finish(i);
  halves<2, pair>(r, i, mask, [&](uint16_t a, uint16_t b, uint16_t) {
    if (finish.ftz)
      a = flushHalf<brain>(a), b = flushHalf<brain>(b);
    return finish.template operator()<brain>(f(widen<brain>(a), widen<brain>(b)));
  });
}
template <bool brain, bool pair, typename F>
inline void through1(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  Finish finish(i);
  halves<1, pair>(r, i, mask, [&](uint16_t a, uint16_t, uint16_t) {
    if (finish.ftz)
      a = flushHalf<brain>(a);
    return finish.template operator()<brain>(f(widen<brain>(a)));
  });
}

/// a b + c as a float rounded to odd.
inline float fusedOdd(float a, float b, float c) {
  double p = double(a) * double(b);
  double s = p + double(c); // the product is exact
  double t = s - p;
  double error = (p - (s - t)) + (double(c) - t);
  uint64_t bits = toBits(s);
  if (error != 0 && error == error && !(bits & 1) && s - s == 0)
    bits += (error > 0) == (s > 0) ? 1 : -1;
  s = fromBits<double>(bits);
  float f = float(s);
  uint32_t narrowBits = bitsOfFloat(f);
  if (double(f) != s && s == s && s - s == 0) {
    if (__builtin_fabs(double(f)) > __builtin_fabs(s))
      narrowBits -= 1;
    narrowBits |= 1;
  }
  return floatOfBits(narrowBits);
}

template <bool brain, bool pair> void fma(uint8_t *r, const Instruction &i, uint32_t mask) {
  Finish finish(i);
  halves<3, pair>(r, i, mask, [&](uint16_t a, uint16_t b, uint16_t c) {
    if (finish.ftz)
      a = flushHalf<brain>(a), b = flushHalf<brain>(b), c = flushHalf<brain>(c);
    return finish.template operator()<brain>(
        fusedOdd(widen<brain>(a), widen<brain>(b), widen<brain>(c)));
  });
}

/// flag: .NaN; variant 1: .xorsign.abs
template <bool brain, bool pair, bool maximum>
void extremum(uint8_t *r, const Instruction &i, uint32_t mask) {
  bool nan = i.flag;
  bool xorsign = i.variant == 1;
  bool ftz = i.ftz;
  halves<2, pair>(r, i, mask, [=](uint16_t a, uint16_t b, uint16_t) {
    if (ftz)
      a = flushHalf<brain>(a), b = flushHalf<brain>(b);
    uint16_t sign = (a ^ b) & 0x8000;
    if (xorsign)
      a &= 0x7fff, b &= 0x7fff;
    float x = widen<brain>(a);
    float y = widen<brain>(b);
    uint16_t best = x == y ? uint16_t(maximum ? a & b : a | b) : (maximum ? x > y : x < y) ? a : b;
    best = x != x ? (nan ? 0x7fff : b) : best;
    best = y != y ? (nan || x != x ? 0x7fff : a) : best;
    return uint16_t(xorsign ? (best & 0x7fff) | sign : best);
  });
}

template <bool brain>
uint32_t compareHalves(const Instruction &i, const uint32_t *a, const uint32_t *b, uint32_t shift) {
  alignas(64) uint32_t x[32];
  alignas(64) uint32_t y[32];
  for (uint32_t l = 0; l < 32; ++l) {
    uint16_t ha = uint16_t(a[l] >> shift);
    uint16_t hb = uint16_t(b[l] >> shift);
    if (i.ftz)
      ha = flushHalf<brain>(ha), hb = flushHalf<brain>(hb);
    x[l] = bitsOfFloat(widen<brain>(ha));
    y[l] = bitsOfFloat(widen<brain>(hb));
  }
  return compareLanes<float>(Compare(i.variant & 0x7f), x, y);
}

/// Of pairs, p is of the low halves and q of the high ones.
template <bool brain, bool pair> void setp(uint8_t *r, const Instruction &i, uint32_t mask) {
  const uint32_t *a = source<uint32_t>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]);
  uint32_t low = compareHalves<brain>(i, a, b, 0);
  if (!pair)
    return finishSetp(r, i, mask, low);
  uint32_t high = compareHalves<brain>(i, a, b, 16);
  Instruction first = i;
  Instruction second = i;
  first.op[4] = noOperand;
  second.op[0] = i.op[4];
  second.op[4] = noOperand;
  finishSetp(r, first, mask, low);
  if (second.op[0] != noOperand)
    finishSetp(r, second, mask, high);
}

template <bool brain, bool pair> void set(uint8_t *r, const Instruction &i, uint32_t mask) {
  const uint32_t *a = source<uint32_t>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]);
  uint32_t low = compareHalves<brain>(i, a, b, 0);
  if (!pair)
    return finishSet(r, i, mask, low);
  uint32_t high = compareHalves<brain>(i, a, b, 16);
  uint32_t one = i.type == Type::F16x2 ? 0x3c00 : i.type == Type::BF16x2 ? 0x3f80 : 0xffff;
  alignas(64) uint32_t out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = (low >> l & 1 ? one : 0) | (high >> l & 1 ? one << 16 : 0);
  commit(r, i.op[0], out, mask);
}

template <bool brain, bool pair> LaneHandler forType(LaneOp op) {
  switch (op) {
  case LaneOp::Add:
    return NYSJIT_LANE(through2<brain, pair>(r, i, m, [](float a, float b) { return a + b; }));
  case LaneOp::Sub:
    return NYSJIT_LANE(through2<brain, pair>(r, i, m, [](float a, float b) { return a - b; }));
  case LaneOp::Mul:
    return NYSJIT_LANE(through2<brain, pair>(r, i, m, [](float a, float b) { return a * b; }));
  case LaneOp::Fma: return fma<brain, pair>;
  case LaneOp::Min: return extremum<brain, pair, false>;
  case LaneOp::Max: return extremum<brain, pair, true>;
  case LaneOp::Abs:
    return NYSJIT_LANE(halves<1, pair>(
        r, i, m, [](uint16_t a, uint16_t, uint16_t) { return uint16_t(a & 0x7fff); }));
  case LaneOp::Neg:
    return NYSJIT_LANE(halves<1, pair>(
        r, i, m, [](uint16_t a, uint16_t, uint16_t) { return uint16_t(a ^ 0x8000); }));
  case LaneOp::Copysign:
    return NYSJIT_LANE(halves<2, pair>(r, i, m, [](uint16_t a, uint16_t b, uint16_t) {
      return uint16_t((a & 0x8000) | (b & 0x7fff));
    }));
  case LaneOp::Ex2:
    return NYSJIT_LANE(
        through1<brain, pair>(r, i, m, [](float a) { return float(__builtin_exp2(double(a))); }));
  case LaneOp::Tanh:
    return NYSJIT_LANE(
        through1<brain, pair>(r, i, m, [](float a) { return float(__builtin_tanh(double(a))); }));
  case LaneOp::Setp: return setp<brain, pair>;
  case LaneOp::Set: return set<brain, pair>;
  default: return nullptr;
  }
}

} // namespace

LaneHandler halfTable(LaneOp op, Type type) {
  switch (type) {
  case Type::F16: return forType<false, false>(op);
  case Type::F16x2: return forType<false, true>(op);
  case Type::BF16: return forType<true, false>(op);
  case Type::BF16x2: return forType<true, true>(op);
  default: return nullptr;
  }
}

} // namespace nysjit::emulator::NYSJIT_LANES
