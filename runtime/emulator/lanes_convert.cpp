// cvt. In general two steps: each lane to a wide value (64-bit integer or double, both exact), then
// to the destination. Frequent pairs go directly. i.type is the destination's, i.sourceType the
// source's; i.wide says which registers are 64-bit.
#include "runtime/emulator/lanes_loop.h"

#include <cmath>

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

bool isFloatType(Type type) { return type >= Type::F16; }
bool isSignedType(Type type) {
  return type == Type::S8 || type == Type::S16 || type == Type::S32 || type == Type::S64;
}
uint32_t bitsOfType(Type type) {
  switch (type) {
  case Type::U8:
  case Type::S8:
  case Type::B8: return 8;
  case Type::U16:
  case Type::S16:
  case Type::B16:
  case Type::F16:
  case Type::BF16: return 16;
  case Type::U64:
  case Type::S64:
  case Type::B64:
  case Type::F64: return 64;
  default: return 32;
  }
}

uint64_t rawLane(const uint8_t *r, const Instruction &i, uint32_t lane) {
  return i.wide & 2 ? source<uint64_t>(r, i.op[1])[lane] : source<uint32_t>(r, i.op[1])[lane];
}

double floatLane(uint64_t raw, Type type, bool ftz) {
  switch (type) {
  case Type::F16: return halfToFloat(uint16_t(raw));
  case Type::BF16: return bfloatToFloat(uint16_t(raw));
  case Type::F64: return fromBits<double>(raw);
  default: {
    float f = floatOfBits(uint32_t(raw));
    return ftz ? flushed(f) : f;
  }
  }
}

/// To a whole number, as the rounding says.
double rounded(double x, Rounding rounding) {
  switch (rounding) {
  case Rounding::NearestInteger: return std::nearbyint(x);
  case Rounding::ZeroInteger: return std::trunc(x);
  case Rounding::DownInteger: return std::floor(x);
  case Rounding::UpInteger: return std::ceil(x);
  default: return x;
  }
}

/// To float, rounded to odd: a later rounding to fewer bits is then correct.
float oddFloat(double x) {
  float f = float(x);
  uint32_t bits = bitsOfFloat(f);
  if (double(f) != x && x == x && x - x == 0) {
    if (__builtin_fabs(double(f)) > __builtin_fabs(x))
      bits -= 1;
    bits |= 1;
  }
  return floatOfBits(bits);
}

/// 16-bit formats toward zero: cut; what is too large stays the largest finite one.
uint16_t cutBfloat(float f) {
  uint32_t bits = bitsOfFloat(f);
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : uint16_t(bits >> 16);
}
uint16_t cutHalf(float f) {
  uint16_t h = floatToHalf(f);
  if (f != f || f - f != 0)
    return h;
  return __builtin_fabsf(halfToFloat(h)) > __builtin_fabsf(f) ? uint16_t(h - 1) : h;
}

/// f32 to tf32, 10 bits of fraction; the rest is zero.
uint32_t tensorFloat(float f, Rounding rounding) {
  uint32_t bits = bitsOfFloat(f);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return 0x7fffffff;
  if ((bits & 0x7f800000) == 0x7f800000)
    return bits;
  uint32_t add = rounding == Rounding::NearestAway ? 0x1000
                 : rounding == Rounding::Zero      ? 0
                                                   : 0xfff + (bits >> 13 & 1);
  return (bits + add) & ~0x1fffu;
}

uint64_t fromFloat(double x, const Instruction &i) {
  Type to = i.type;
  if (isFloatType(to)) {
    x = rounded(x, i.rounding);
    if (i.saturate)
      x = x > 0 ? (x < 1 ? x : 1.0) : 0.0;
    if (i.relu)
      x = x < 0 ? 0.0 : x;
    bool zero = i.rounding == Rounding::Zero;
    switch (to) {
    case Type::F64: return x != x ? 0x7fffffffffffffff : toBits(x);
    case Type::F16: return zero ? cutHalf(oddFloat(x)) : floatToHalf(oddFloat(x));
    case Type::BF16: return zero ? cutBfloat(oddFloat(x)) : floatToBfloat(oddFloat(x));
    case Type::TF32: return tensorFloat(float(x), i.rounding);
    default: {
      volatile double in = x; // under the caller's rounding
      float f = float(in);
      f = i.ftz ? flushed(f) : f;
      return f != f ? 0x7fffffff : bitsOfFloat(f);
    }
    }
  }
  if (x != x)
    return bitsOfType(to) == 64 ? uint64_t(1) << 63 : 0;
  x = rounded(x, i.rounding);
  uint32_t bits = bitsOfType(to);
  if (isSignedType(to)) {
    double limit = std::ldexp(1.0, int(bits) - 1);
    return x >= limit   ? (uint64_t(1) << (bits - 1)) - 1
           : x < -limit ? uint64_t(0) - (uint64_t(1) << (bits - 1))
                        : uint64_t(int64_t(x));
  }
  double limit = std::ldexp(1.0, int(bits));
  return x <= 0       ? 0
         : x >= limit ? (bits == 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1)
                      : uint64_t(x);
}

uint64_t fromInteger(uint64_t value, bool isSource, const Instruction &i) {
  Type to = i.type;
  int64_t s = int64_t(value);
  switch (to) {
  case Type::F64: {
    volatile int64_t in = s;
    return toBits(isSource ? double(in) : double(uint64_t(in)));
  }
  case Type::F32: {
    volatile int64_t in = s;
    return bitsOfFloat(isSource ? float(in) : float(uint64_t(in)));
  }
  case Type::F16:
  case Type::BF16: {
    // 64 bits to double may round; to odd again by hand.
    double d = isSource ? double(s) : double(value);
    bool exact = isSource ? (d < 9.3e18 && int64_t(d) == s) : (d < 1.8e19 && uint64_t(d) == value);
    if (!exact)
      d = fromBits<double>(toBits(d) | 1);
    float f = oddFloat(d);
    bool zero = i.rounding == Rounding::Zero;
    return to == Type::F16 ? (zero ? cutHalf(f) : floatToHalf(f))
                           : (zero ? cutBfloat(f) : floatToBfloat(f));
  }
  default: break;
  }
  if (!i.saturate)
    return value;
  uint32_t bits = bitsOfType(to);
  if (isSignedType(to)) {
    int64_t most = int64_t((uint64_t(1) << (bits - 1)) - 1);
    int64_t least = -most - 1;
    if (!isSource)
      return value > uint64_t(most) ? uint64_t(most) : value;
    return uint64_t(s > most ? most : s < least ? least : s);
  }
  uint64_t most = bits == 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
  return isSource && s < 0 ? 0 : value > most ? most : value;
}

void general(uint8_t *r, const Instruction &i, uint32_t mask) {
  uint64_t out[32];
  bool fromFloats = isFloatType(i.sourceType);
  bool isSource = isSignedType(i.sourceType);
  bool toFloats = isFloatType(i.type);
  uint32_t sourceBits = bitsOfType(i.sourceType);
  uint32_t bits = bitsOfType(i.type);
  bool direct = directed(i.rounding) && toFloats && bits >= 32 && i.type != Type::TF32;
  RoundingScope scope(direct ? i.rounding : Rounding::Nearest);
  for (uint32_t l = 0; l < 32; ++l) {
    uint64_t raw = rawLane(r, i, l);
    if (fromFloats) {
      out[l] = fromFloat(floatLane(raw, i.sourceType, i.ftz), i);
    } else {
      raw = isSource ? uint64_t(int64_t(raw << (64 - sourceBits)) >> (64 - sourceBits))
                     : raw << (64 - sourceBits) >> (64 - sourceBits);
      out[l] = fromInteger(raw, isSource, i);
    }
    // A destination register wider than the type: sign- or zero-extended.
    if (bits < 64 && !toFloats)
      out[l] = isSignedType(i.type) ? uint64_t(int64_t(out[l] << (64 - bits)) >> (64 - bits))
                                    : out[l] << (64 - bits) >> (64 - bits);
  }
  if (i.wide & 1) {
    commit(r, i.op[0], out, mask);
    return;
  }
  uint32_t narrowOut[32];
  for (uint32_t l = 0; l < 32; ++l)
    // variant: bytes of the register
    narrowOut[l] = i.variant == 2 ? uint16_t(out[l]) : uint32_t(out[l]);
  commit(r, i.op[0], narrowOut, mask);
}

/// A direct loop between registers of S and D.
template <typename S, typename D, typename F>
void direct(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const S *a = source<S>(r, i.op[1]);
  alignas(64) D out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = f(a[l]);
  commit(r, i.op[0], out, mask);
}

template <bool brain> void packed(uint8_t *r, const Instruction &i, uint32_t mask) {
  const uint32_t *a = source<uint32_t>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]); // a goes to the high half
  alignas(64) uint32_t out[32];
  bool relu = i.relu;
  bool zero = i.rounding == Rounding::Zero;
  bool finite = i.flag;
  for (uint32_t l = 0; l < 32; ++l) {
    float high = floatOfBits(a[l]);
    float low = floatOfBits(b[l]);
    high = relu && high < 0 ? 0.0f : high;
    low = relu && low < 0 ? 0.0f : low;
    out[l] = uint32_t(brain ? floatToBfloat(high) : floatToHalf(high)) << 16 |
             (brain ? floatToBfloat(low) : floatToHalf(low));
  }
  if (zero)
    for (uint32_t l = 0; l < 32; ++l) {
      float high = floatOfBits(a[l]);
      float low = floatOfBits(b[l]);
      high = relu && high < 0 ? 0.0f : high;
      low = relu && low < 0 ? 0.0f : low;
      out[l] = uint32_t(brain ? cutBfloat(high) : cutHalf(high)) << 16 |
               (brain ? cutBfloat(low) : cutHalf(low));
    }
  if (finite) { // .satfinite: infinities become the largest number
    constexpr uint32_t infinity = brain ? 0x7f80 : 0x7c00;
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t shift = 0; shift < 32; shift += 16)
        if ((out[l] >> shift & 0x7fff) == infinity)
          out[l] -= 1u << shift;
  }
  commit(r, i.op[0], out, mask);
}

} // namespace

LaneHandler convertTable(Type to, Type from, const Instruction &i) {
  auto supported = [](Type type) {
    return bitsOfType(type) > 0 && type != Type::F16x2 && type != Type::BF16x2 &&
           type != Type::Pred && type != Type::B128 && type != Type::None;
  };
  if (!supported(to) || !supported(from))
    return nullptr;
  bool plain = !i.saturate && !i.relu && !i.ftz && !directed(i.rounding);
  bool wideTo = i.wide & 1;
  bool wideFrom = i.wide & 2;
  if (plain && !wideFrom && wideTo && (from == Type::U32) && !isFloatType(to))
    return NYSJIT_LANE(direct<uint32_t, uint64_t>(r, i, m, [](uint32_t a) { return uint64_t(a); }));
  if (plain && !wideFrom && wideTo && (from == Type::S32) && !isFloatType(to))
    return NYSJIT_LANE(direct<uint32_t, uint64_t>(
        r, i, m, [](uint32_t a) { return uint64_t(int64_t(int32_t(a))); }));
  if (plain && wideFrom && !wideTo && bitsOfType(to) == 32 && !isFloatType(to) &&
      !isFloatType(from) && bitsOfType(from) == 64)
    return NYSJIT_LANE(direct<uint64_t, uint32_t>(r, i, m, [](uint64_t a) { return uint32_t(a); }));
  if (wideTo || wideFrom)
    return general;
  if (plain && to == Type::F32 && from == Type::S32)
    return NYSJIT_LANE(direct<uint32_t, uint32_t>(
        r, i, m, [](uint32_t a) { return bitsOfFloat(float(int32_t(a))); }));
  if (plain && to == Type::F32 && from == Type::F16)
    return NYSJIT_LANE(direct<uint32_t, uint32_t>(
        r, i, m, [](uint32_t a) { return bitsOfFloat(halfToFloat(uint16_t(a))); }));
  if (plain && to == Type::F32 && from == Type::BF16)
    return NYSJIT_LANE(direct<uint32_t, uint32_t>(r, i, m, [](uint32_t a) { return a << 16; }));
  if (plain && to == Type::F16 && from == Type::F32 && i.rounding == Rounding::Nearest)
    return NYSJIT_LANE(direct<uint32_t, uint32_t>(
        r, i, m, [](uint32_t a) { return uint32_t(floatToHalf(floatOfBits(a))); }));
  if (plain && to == Type::BF16 && from == Type::F32 && i.rounding == Rounding::Nearest)
    return NYSJIT_LANE(direct<uint32_t, uint32_t>(
        r, i, m, [](uint32_t a) { return uint32_t(floatToBfloat(floatOfBits(a))); }));
  return general;
}

LaneHandler convertPackedTable(Type to) {
  return to == Type::F16x2 ? packed<false> : to == Type::BF16x2 ? packed<true> : nullptr;
}

} // namespace nysjit::emulator::NYSJIT_LANES
