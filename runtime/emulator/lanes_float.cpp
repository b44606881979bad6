// f32 and f64. Arithmetic is IEEE's in the rounding that the instruction names; .ftz flushes
// subnormal inputs and results; a NaN result is the GPU's canonical one. The .approx functions are
// evaluated in double and rounded once, so they are nearer to the true value than a GPU's (2 ulp
// for ex2, lg2, rcp, rsqrt by the PTX manual).
#include "runtime/emulator/lanes_loop.h"

#include <cmath>

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

inline float canonical(float x) { return x != x ? floatOfBits(0x7fffffff) : x; }
inline double canonical(double x) { return x != x ? fromBits<double>(0x7fffffffffffffff) : x; }
inline float flush(float x) { return flushed(x); }
inline double flush(double x) { return x; }

template <typename T> inline void load(T *to, const uint8_t *r, uint32_t offset, bool ftz) {
  const Storage<T> *from = source<Storage<T>>(r, offset);
  if (ftz)
    for (uint32_t l = 0; l < 32; ++l)
      to[l] = flush(fromBits<T>(from[l]));
  else
    __builtin_memcpy(to, from, 32 * sizeof(T));
}

/// The multiplicands of mixed arithmetic (add.f32.bf16 and the like): variant 2 is f16, 3 bf16.
template <typename T>
inline void loadMixed(T *to, const uint8_t *r, uint32_t offset, const Instruction &i) {
  if (i.variant < 2)
    return load(to, r, offset, i.ftz);
  const Storage<uint16_t> *from = source<Storage<uint16_t>>(r, offset);
  for (uint32_t l = 0; l < 32; ++l)
    to[l] = T(i.variant == 2 ? halfToFloat(from[l]) : bfloatToFloat(from[l]));
}

template <typename T> inline void finish(uint8_t *r, const Instruction &i, uint32_t mask, T *out) {
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = canonical(out[l]);
  if (i.ftz)
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = flush(out[l]);
  if (i.saturate)
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = out[l] > 0 ? (out[l] < 1 ? out[l] : T(1)) : T(0); // NaN gives 0
  if (i.relu)
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = out[l] < 0 ? T(0) : out[l];
  commit(r, i.op[0], reinterpret_cast<const Storage<T> *>(out), mask);
}

/// Inputs in arrays, so that a directed rounding can hold around a loop that the compiler cannot
/// move.
template <typename T, typename F> inline void apply(const Instruction &i, T *out, F f) {
  if (directed(i.rounding)) {
    RoundingScope scope(i.rounding);
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = f(l);
    asm volatile("" ::"r"(out) : "memory");
  } else {
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = f(l);
  }
}

template <typename T, typename F>
inline void float1(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  alignas(64) T a[32];
  alignas(64) T out[32];
  load(a, r, i.op[1], i.ftz);
  apply(i, out, [&](uint32_t l) { return f(a[l]); });
  finish(r, i, mask, out);
}
template <typename T, typename F>
inline void float2(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  alignas(64) T a[32];
  alignas(64) T b[32];
  alignas(64) T out[32];
  loadMixed(a, r, i.op[1], i);
  load(b, r, i.op[2], i.ftz);
  apply(i, out, [&](uint32_t l) { return f(a[l], b[l]); });
  finish(r, i, mask, out);
}
template <typename T, typename F>
inline void float3(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  alignas(64) T a[32];
  alignas(64) T b[32];
  alignas(64) T c[32];
  alignas(64) T out[32];
  loadMixed(a, r, i.op[1], i);
  loadMixed(b, r, i.op[2], i);
  load(c, r, i.op[3], i.ftz);
  apply(i, out, [&](uint32_t l) { return f(a[l], b[l], c[l]); });
  finish(r, i, mask, out);
}

inline float fusedAdd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fusedAdd(double a, double b, double c) { return __builtin_fma(a, b, c); }

/// min and max: of a number and a NaN the number, or with .NaN (flag) the NaN; -0 is below +0;
/// variant 1: .xorsign.abs.
template <typename T, bool maximum>
inline void extremum(uint8_t *r, const Instruction &i, uint32_t mask) {
  bool nan = i.flag;
  bool xorsign = i.variant == 1;
  bool three = i.op[3] != noOperand;
  using S = Storage<T>;
  constexpr S signBit = S(1) << (8 * sizeof(T) - 1);
  alignas(64) T a[32];
  alignas(64) T b[32];
  alignas(64) T c[32];
  alignas(64) T out[32];
  load(a, r, i.op[1], i.ftz);
  load(b, r, i.op[2], i.ftz);
  if (three)
    load(c, r, i.op[3], i.ftz);
  auto pick = [&](T x, T y) {
    S bx = toBits(x);
    S by = toBits(y);
    S sign = (bx ^ by) & signBit;
    if (xorsign)
      x = fromBits<T>(bx & ~signBit), y = fromBits<T>(by & ~signBit), bx = toBits(x),
      by = toBits(y);
    S equal = maximum ? bx & by : bx | by; // of two zeros the sign that wins
    T best = x == y ? fromBits<T>(equal) : (maximum ? x > y : x < y) ? x : y;
    best = x != x ? (nan ? x : y) : best;
    best = y != y ? (nan ? y : x) : best;
    return xorsign ? fromBits<T>((toBits(best) & ~signBit) | sign) : best;
  };
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = pick(a[l], b[l]);
  if (three)
    for (uint32_t l = 0; l < 32; ++l)
      out[l] = pick(out[l], c[l]);
  Instruction plain = i;
  plain.saturate = false;
  finish(r, plain, mask, out);
}

/// 2^x in double: 2^n times a polynomial for the fraction in [-1/2, 1/2], good to 1e-15.
inline float exp2Lane(float x) {
  // beyond: infinity and 0 in float
  double d = x > 200.0f ? 200.0 : x < -200.0f ? -200.0 : double(x);
  // 1.5 * 2^52: the integer lies in the low bits
  double shifted = d + 6755399441055744.0;
  double n = shifted - 6755399441055744.0;
  double f = d - n;
  double p = 1.0178086009239699e-7;
  p = p * f + 1.3215486790144307e-6;
  p = p * f + 1.5252733804059840e-5;
  p = p * f + 1.5403530393381608e-4;
  p = p * f + 1.3333558146428443e-3;
  p = p * f + 9.6181291076284772e-3;
  p = p * f + 5.5504108664821580e-2;
  p = p * f + 2.4022650695910072e-1;
  p = p * f + 6.9314718055994531e-1;
  p = p * f + 1.0;
  uint64_t bits = (toBits(shifted) & 0xfff) + 1023; // n is in [-200, 200]: its low 12 bits, signed
  bits = (bits & 0x7ff) << 52;
  float result = float(p * fromBits<double>(bits));
  return x != x ? x : result;
}

/// log2 in double: exponent plus 2 atanh(s) / ln 2 with s = (m - 1) / (m + 1), m in [sqrt(1/2),
/// sqrt(2)).
inline float log2Lane(float x) {
  double d = double(x);
  uint64_t bits = toBits(d);
  uint64_t exponent = (bits >> 52 & 0x7ff);
  double m = fromBits<double>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  // The exponent as a double without a conversion from 64 bits, which AVX2 lacks.
  double e = fromBits<double>(exponent | 0x4330000000000000) - 4503599627370496.0 - 1023.0;
  bool upper = m > 1.4142135623730951;
  m = upper ? m * 0.5 : m;
  e = upper ? e + 1.0 : e;
  double s = (m - 1.0) / (m + 1.0);
  double t = s * s;
  double p = 1.0 / 17;
  p = p * t + 1.0 / 15;
  p = p * t + 1.0 / 13;
  p = p * t + 1.0 / 11;
  p = p * t + 1.0 / 9;
  p = p * t + 1.0 / 7;
  p = p * t + 1.0 / 5;
  p = p * t + 1.0 / 3;
  p = p * t + 1.0;
  float result = float(e + p * s * 2.8853900817779268);
  result = x == 0 ? -floatOfBits(0x7f800000) : result;
  result = x < 0 ? floatOfBits(0x7fffffff) : result;
  return x != x || x == floatOfBits(0x7f800000) ? x : result;
}

template <typename T> void testp(uint8_t *r, const Instruction &i, uint32_t mask) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  uint32_t holds = 0;
  for (uint32_t l = 0; l < 32; ++l) {
    T x = fromBits<T>(a[l]);
    int kind = __builtin_fpclassify(0, 1, 2, 3, 4, x); // NaN, infinite, normal, subnormal, zero
    bool is = false;
    switch (FloatClass(i.variant)) {
    case FloatClass::Finite: is = kind >= 2; break;
    case FloatClass::Infinite: is = kind == 1; break;
    case FloatClass::Number: is = kind != 0; break;
    case FloatClass::NotANumber: is = kind == 0; break;
    case FloatClass::Normal: is = kind == 2; break;
    case FloatClass::Subnormal: is = kind == 3; break;
    }
    holds |= is ? 1u << l : 0;
  }
  commitPredicate(r, i.op[0], holds, mask);
}

template <typename T> void setp(uint8_t *r, const Instruction &i, uint32_t mask) {
  alignas(64) T a[32];
  alignas(64) T b[32];
  load(a, r, i.op[1], i.ftz);
  load(b, r, i.op[2], i.ftz);
  finishSetp(r, i, mask,
             compareLanes<T>(Compare(i.variant), reinterpret_cast<const Storage<T> *>(a),
                             reinterpret_cast<const Storage<T> *>(b)));
}
template <typename T> void set(uint8_t *r, const Instruction &i, uint32_t mask) {
  alignas(64) T a[32];
  alignas(64) T b[32];
  load(a, r, i.op[1], i.ftz);
  load(b, r, i.op[2], i.ftz);
  finishSet(r, i, mask,
            compareLanes<T>(Compare(i.variant & 0x7f), reinterpret_cast<const Storage<T> *>(a),
                            reinterpret_cast<const Storage<T> *>(b)));
}

template <typename T> LaneHandler forType(LaneOp op) {
  constexpr Storage<T> sign = Storage<T>(1) << (8 * sizeof(T) - 1);
  switch (op) {
  case LaneOp::Add: return NYSJIT_LANE(float2<T>(r, i, m, [](T a, T b) { return a + b; }));
  case LaneOp::Sub: return NYSJIT_LANE(float2<T>(r, i, m, [](T a, T b) { return a - b; }));
  case LaneOp::Mul: return NYSJIT_LANE(float2<T>(r, i, m, [](T a, T b) { return a * b; }));
  case LaneOp::Fma:
    return NYSJIT_LANE(float3<T>(r, i, m, [](T a, T b, T c) { return fusedAdd(a, b, c); }));
  case LaneOp::Div: return NYSJIT_LANE(float2<T>(r, i, m, [](T a, T b) { return a / b; }));
  case LaneOp::Rcp: return NYSJIT_LANE(float1<T>(r, i, m, [](T a) { return T(1) / a; }));
  case LaneOp::Sqrt:
    return NYSJIT_LANE(float1<T>(r, i, m, [](T a) {
      return T(sizeof(T) == 4 ? __builtin_sqrtf(float(a)) : __builtin_sqrt(a));
    }));
  case LaneOp::Rsqrt:
    return NYSJIT_LANE(float1<T>(r, i, m, [](T a) { return T(1.0 / __builtin_sqrt(double(a))); }));
  case LaneOp::Min: return extremum<T, false>;
  case LaneOp::Max: return extremum<T, true>;
  case LaneOp::Abs:
    return NYSJIT_LANE(bool ftz = i.ftz; map1<T>(r, i, m, [ftz](T a) {
                         a = ftz ? flush(a) : a;
                         return fromBits<T>(toBits(a) & ~sign);
                       }));
  case LaneOp::Neg:
    return NYSJIT_LANE(bool ftz = i.ftz; map1<T>(r, i, m, [ftz](T a) {
                         a = ftz ? flush(a) : a;
                         return fromBits<T>(toBits(a) ^ sign);
                       }));
  case LaneOp::Copysign: // the sign of a, the rest of b
    return NYSJIT_LANE(map2<T>(
        r, i, m, [](T a, T b) { return fromBits<T>((toBits(a) & sign) | (toBits(b) & ~sign)); }));
  case LaneOp::Testp: return testp<T>;
  case LaneOp::Setp: return setp<T>;
  case LaneOp::Set: return set<T>;
  default: break;
  }
  if constexpr (sizeof(T) == 4) {
    switch (op) {
    case LaneOp::Ex2:
      return NYSJIT_LANE(float1<float>(r, i, m, [](float a) { return exp2Lane(a); }));
    case LaneOp::Lg2:
      return NYSJIT_LANE(float1<float>(r, i, m, [](float a) { return log2Lane(a); }));
    case LaneOp::Sin:
      return NYSJIT_LANE(
          float1<float>(r, i, m, [](float a) { return float(__builtin_sin(double(a))); }));
    case LaneOp::Cos:
      return NYSJIT_LANE(
          float1<float>(r, i, m, [](float a) { return float(__builtin_cos(double(a))); }));
    case LaneOp::Tanh:
      return NYSJIT_LANE(
          float1<float>(r, i, m, [](float a) { return float(__builtin_tanh(double(a))); }));
    default: break;
    }
  }
  return nullptr;
}

} // namespace

LaneHandler floatTable(LaneOp op, Type type) {
  return type == Type::F32 ? forType<float>(op) : type == Type::F64 ? forType<double>(op) : nullptr;
}

} // namespace nysjit::emulator::NYSJIT_LANES
