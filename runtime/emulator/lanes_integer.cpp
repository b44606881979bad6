// Integers, comparisons and moves of one type.
#include "runtime/emulator/lanes_loop.h"

#include <limits>

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

template <typename T> struct Traits;
template <> struct Traits<uint16_t> {
  using Signed = int16_t;
  using Unsigned = uint16_t;
  using Wide = uint32_t;
};
template <> struct Traits<int16_t> {
  using Signed = int16_t;
  using Unsigned = uint16_t;
  using Wide = int32_t;
};
template <> struct Traits<uint32_t> {
  using Signed = int32_t;
  using Unsigned = uint32_t;
  using Wide = uint64_t;
};
template <> struct Traits<int32_t> {
  using Signed = int32_t;
  using Unsigned = uint32_t;
  using Wide = int64_t;
};
__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 Uint128;
template <> struct Traits<uint64_t> {
  using Signed = int64_t;
  using Unsigned = uint64_t;
  using Wide = Uint128;
};
template <> struct Traits<int64_t> {
  using Signed = int64_t;
  using Unsigned = uint64_t;
  using Wide = Int128;
};

template <typename T> T larger(T a, T b) { return a > b ? a : b; }
/// Below what .relu cuts off.
template <typename T> T leastOf(const Instruction &i) {
  return i.relu ? T(0) : std::numeric_limits<T>::lowest();
}
template <typename T> T high(T a, T b) {
  return T((typename Traits<T>::Wide(a) * typename Traits<T>::Wide(b)) >> (8 * sizeof(T)));
}
template <typename T> T divide(T a, T b) {
  using U = typename Traits<T>::Unsigned;
  if (b == 0)
    return T(-1);
  if (T(-1) < 0 && b == T(-1))
    return T(U(0) - U(a));
  return T(a / b);
}
template <typename T> T remainder(T a, T b) {
  if (b == 0)
    return a;
  if (T(-1) < 0 && b == T(-1))
    return 0;
  return T(a % b);
}
template <typename T> T low24(T a) {
  if (T(-1) < 0)
    return T(int32_t(uint32_t(a) << 8) >> 8);
  return T(a & 0xffffff);
}
template <typename T> uint32_t clz(T a) {
  using U = typename Traits<T>::Unsigned;
  return U(a) == 0        ? uint32_t(8 * sizeof(T))
         : sizeof(T) == 8 ? uint32_t(__builtin_clzll(U(a)))
                          : uint32_t(__builtin_clz(uint32_t(U(a))));
}
template <typename T> T reversed(T value) {
  using U = typename Traits<T>::Unsigned;
  U from = U(value);
  U to = 0;
  for (uint32_t b = 0; b < 8 * sizeof(T); ++b)
    to = U(to << 1 | (from >> b & 1));
  return T(to);
}
template <typename T> T extract(T a, uint32_t position, uint32_t length) {
  using U = typename Traits<T>::Unsigned;
  constexpr uint32_t bits = 8 * sizeof(T);
  position &= 0xff, length &= 0xff;
  if (length == 0)
    return 0;
  bool negative =
      T(-1) < 0 &&
      (U(a) >> (position + length - 1 < bits - 1 ? position + length - 1 : bits - 1) & 1);
  U field = position < bits ? U(a) >> position : 0;
  uint32_t have = position < bits ? bits - position : 0;
  uint32_t keep = length < have ? length : have;
  U mask = keep >= bits ? U(-1) : U((U(1) << keep) - 1);
  return T(negative ? U(field | U(~mask)) : U(field & mask));
}
template <typename T> T insert(T a, T b, uint32_t position, uint32_t length) {
  using U = typename Traits<T>::Unsigned;
  constexpr uint32_t bits = 8 * sizeof(T);
  position &= 0xff, length &= 0xff;
  if (position >= bits || length == 0)
    return b;
  U mask = U((length >= bits ? U(-1) : U((U(1) << length) - 1)) << position);
  return T((U(a) << position & mask) | (U(b) & ~mask));
}
template <typename T> uint32_t findBit(T a, bool shift) {
  using U = typename Traits<T>::Unsigned;
  U u = T(-1) < 0 && a < 0 ? U(~U(a)) : U(a);
  if (u == 0)
    return ~0u;
  uint32_t msb = uint32_t(8 * sizeof(T)) - 1 - clz(u);
  return shift ? uint32_t(8 * sizeof(T)) - 1 - msb : msb;
}

/// add.cc and the like: carry is a register of 0 and 1.
template <typename T, bool subtract>
void withCarry(uint8_t *r, const Instruction &i, uint32_t mask) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  const Storage<T> *b = source<Storage<T>>(r, i.op[2]);
  const uint32_t *carry = source<uint32_t>(r, i.op[4]);
  alignas(64) Storage<T> out[32];
  alignas(64) uint32_t carries[32];
  for (uint32_t l = 0; l < 32; ++l) {
    T x = T(a[l]);
    T y = T(b[l]);
    T in = i.flag ? T(carry[l]) : 0;
    T result = subtract ? T(x - y - in) : T(x + y + in);
    carries[l] = subtract ? (x < y || (x == y && in)) : (result < x || (in && result == x));
    out[l] = result;
  }
  commit(r, i.op[0], out, mask);
  if (i.saturate)
    commit(r, i.op[4], carries, mask);
}
template <typename T, bool takesHigh>
void madWithCarry(uint8_t *r, const Instruction &i, uint32_t mask) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  const Storage<T> *b = source<Storage<T>>(r, i.op[2]);
  const Storage<T> *c = source<Storage<T>>(r, i.op[3]);
  const uint32_t *carry = source<uint32_t>(r, i.op[4]);
  alignas(64) Storage<T> out[32];
  alignas(64) uint32_t carries[32];
  for (uint32_t l = 0; l < 32; ++l) {
    T x = takesHigh ? high<T>(T(a[l]), T(b[l])) : T(T(a[l]) * T(b[l]));
    T in = i.flag ? T(carry[l]) : 0;
    // Signedness of the high product is the type's; sums are modular.
    T result = T(x + T(c[l]) + in);
    carries[l] = result < x || (in && result == x);
    out[l] = result;
  }
  commit(r, i.op[0], out, mask);
  if (i.saturate)
    commit(r, i.op[4], carries, mask);
}

template <typename T> void setp(uint8_t *r, const Instruction &i, uint32_t mask) {
  finishSetp(r, i, mask,
             compareLanes<T>(Compare(i.variant), source<Storage<T>>(r, i.op[1]),
                             source<Storage<T>>(r, i.op[2])));
}
template <typename T> void set(uint8_t *r, const Instruction &i, uint32_t mask) {
  finishSet(r, i, mask,
            compareLanes<T>(Compare(i.variant & 0x7f), source<Storage<T>>(r, i.op[1]),
                            source<Storage<T>>(r, i.op[2])));
}
template <typename S> void select(uint8_t *r, const Instruction &i, uint32_t mask) {
  const S *a = source<S>(r, i.op[1]);
  const S *b = source<S>(r, i.op[2]);
  uint32_t p = *source<uint32_t>(r, i.op[3]);
  p = i.flag ? ~p : p;
  alignas(64) S out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = p >> l & 1 ? a[l] : b[l];
  commit(r, i.op[0], out, mask);
}
/// slct: c is s32, or f32 if `flag`.
template <typename S> void slct(uint8_t *r, const Instruction &i, uint32_t mask) {
  const S *a = source<S>(r, i.op[1]);
  const S *b = source<S>(r, i.op[2]);
  const uint32_t *c = source<uint32_t>(r, i.op[3]);
  alignas(64) S out[32];
  for (uint32_t l = 0; l < 32; ++l) {
    float f = floatOfBits(c[l]);
    bool first = i.flag ? (i.ftz ? flushed(f) : f) >= 0 : int32_t(c[l]) >= 0;
    out[l] = first ? a[l] : b[l];
  }
  commit(r, i.op[0], out, mask);
}
template <typename S> void move(uint8_t *r, const Instruction &i, uint32_t mask) {
  alignas(64) S out[32];
  __builtin_memcpy(out, r + i.op[1], sizeof out);
  commit(r, i.op[0], out, mask);
}

/// Sums and products, wide and of 24 bits too.
template <typename T> LaneHandler sumOrProduct(LaneOp op) {
  using U = typename Traits<T>::Unsigned;
  using W = typename Traits<T>::Wide;
  switch (op) {
  case LaneOp::Add: return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return T(U(a) + U(b)); }));
  case LaneOp::Sub: return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return T(U(a) - U(b)); }));
  case LaneOp::MulLow:
    return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return T(U(uint64_t(a) * uint64_t(b))); }));
  case LaneOp::MulHigh: return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return high(a, b); }));
  case LaneOp::MadLow:
    return NYSJIT_LANE(map3<T>(
        r, i, m, [](T a, T b, T c) { return T(U(uint64_t(a) * uint64_t(b) + uint64_t(c))); }));
  case LaneOp::MadHigh:
    return NYSJIT_LANE(map3<T>(r, i, m, [](T a, T b, T c) { return T(U(high(a, b)) + U(c)); }));
  case LaneOp::MulWide:
    if constexpr (sizeof(T) < 8)
      return NYSJIT_LANE(map2<T, W>(r, i, m, [](T a, T b) { return W(W(a) * W(b)); }));
    return nullptr;
  case LaneOp::MadWide:
    if constexpr (sizeof(T) < 8)
      return NYSJIT_LANE(map3<T, W>(
          r, i, m, [](T a, T b, W c) { return W(uint64_t(W(a) * W(b)) + uint64_t(c)); }));
    return nullptr;
  case LaneOp::Mul24Low:
    return NYSJIT_LANE(
        map2<T>(r, i, m, [](T a, T b) { return T(int64_t(low24(a)) * int64_t(low24(b))); }));
  case LaneOp::Mul24High:
    return NYSJIT_LANE(
        map2<T>(r, i, m, [](T a, T b) { return T(int64_t(low24(a)) * int64_t(low24(b)) >> 16); }));
  case LaneOp::Mad24Low:
    return NYSJIT_LANE(map3<T>(r, i, m, [](T a, T b, T c) {
      return T(int64_t(low24(a)) * int64_t(low24(b)) + int64_t(c));
    }));
  case LaneOp::Mad24High:
    return NYSJIT_LANE(map3<T>(r, i, m, [](T a, T b, T c) {
      return T((int64_t(low24(a)) * int64_t(low24(b)) >> 16) + int64_t(c));
    }));
  default: return nullptr;
  }
}

/// Quotients, signs, extremes and differences.
template <typename T> LaneHandler arithmetic(LaneOp op) {
  using U = typename Traits<T>::Unsigned;
  switch (op) {
  case LaneOp::Div: return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return divide(a, b); }));
  case LaneOp::Rem: return NYSJIT_LANE(map2<T>(r, i, m, [](T a, T b) { return remainder(a, b); }));
  case LaneOp::Abs:
    return NYSJIT_LANE(map1<T>(r, i, m, [](T a) { return a < 0 ? T(U(0) - U(a)) : a; }));
  case LaneOp::Neg: return NYSJIT_LANE(map1<T>(r, i, m, [](T a) { return T(U(0) - U(a)); }));
  case LaneOp::Min:
    return NYSJIT_LANE(map2<T>(
        r, i, m, [least = leastOf<T>(i)](T a, T b) { return larger(a < b ? a : b, least); }));
  case LaneOp::Max:
    return NYSJIT_LANE(map2<T>(
        r, i, m, [least = leastOf<T>(i)](T a, T b) { return larger(larger(a, b), least); }));
  case LaneOp::Sad:
    return NYSJIT_LANE(map3<T>(
        r, i, m, [](T a, T b, T c) { return T(U(c) + (a < b ? U(b) - U(a) : U(a) - U(b))); }));
  default: return nullptr;
  }
}

/// Logic and shifts.
template <typename T> LaneHandler bitwise(LaneOp op) {
  using U = typename Traits<T>::Unsigned;
  constexpr uint32_t bits = 8 * sizeof(T);
  switch (op) {
  case LaneOp::And: return NYSJIT_LANE(map2<U>(r, i, m, [](U a, U b) { return U(a & b); }));
  case LaneOp::Or: return NYSJIT_LANE(map2<U>(r, i, m, [](U a, U b) { return U(a | b); }));
  case LaneOp::Xor: return NYSJIT_LANE(map2<U>(r, i, m, [](U a, U b) { return U(a ^ b); }));
  case LaneOp::Not: return NYSJIT_LANE(map1<U>(r, i, m, [](U a) { return U(~a); }));
  case LaneOp::CNot: return NYSJIT_LANE(map1<U>(r, i, m, [](U a) { return U(a == 0); }));
  case LaneOp::Shl:
    return NYSJIT_LANE(mapShift<U>(
        r, i, m, [](U a, uint32_t b) { return b >= bits ? U(0) : U(a << (b & (bits - 1))); }));
  case LaneOp::Shr:
    return NYSJIT_LANE(mapShift<T>(r, i, m, [](T a, uint32_t b) {
      return b >= bits ? T(a < 0 ? -1 : 0) : T(a >> (b & (bits - 1)));
    }));
  default: return nullptr;
  }
}

/// Bits by their numbers.
template <typename T> LaneHandler bitField(LaneOp op) {
  using U = typename Traits<T>::Unsigned;
  switch (op) {
  case LaneOp::Bfe:
    return NYSJIT_LANE(const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
                       const uint32_t *b = source<uint32_t>(r, i.op[2]),
                       *c = source<uint32_t>(r, i.op[3]);
                       Storage<T> out[32]; for (uint32_t l = 0; l < 32; ++l) out[l] =
                                               toBits<T>(extract<T>(fromBits<T>(a[l]), b[l], c[l]));
                       commit(r, i.op[0], out, m));
  case LaneOp::Bfi: // op: d, a, b, c; the length in op[4]
    return NYSJIT_LANE(
        const Storage<T> *a = source<Storage<T>>(r, i.op[1]), *b = source<Storage<T>>(r, i.op[2]);
        const uint32_t *c = source<uint32_t>(r, i.op[3]), *d = source<uint32_t>(r, i.op[4]);
        Storage<T> out[32]; for (uint32_t l = 0; l < 32; ++l) out[l] = toBits<T>(
                                insert<T>(fromBits<T>(a[l]), fromBits<T>(b[l]), c[l], d[l]));
        commit(r, i.op[0], out, m));
  case LaneOp::Bfind:
    return NYSJIT_LANE(const Storage<T> *a = source<Storage<T>>(r, i.op[1]); uint32_t out[32];
                       for (uint32_t l = 0; l < 32; ++l) out[l] =
                           findBit<T>(fromBits<T>(a[l]), i.flag);
                       commit(r, i.op[0], out, m));
  case LaneOp::Clz:
    return NYSJIT_LANE(const Storage<T> *a = source<Storage<T>>(r, i.op[1]); uint32_t out[32];
                       for (uint32_t l = 0; l < 32; ++l) out[l] = clz<T>(fromBits<T>(a[l]));
                       commit(r, i.op[0], out, m));
  case LaneOp::Popc:
    return NYSJIT_LANE(const Storage<T> *a = source<Storage<T>>(r, i.op[1]); uint32_t out[32];
                       for (uint32_t l = 0; l < 32; ++l) out[l] =
                           uint32_t(__builtin_popcountll(U(fromBits<T>(a[l]))));
                       commit(r, i.op[0], out, m));
  case LaneOp::Brev: return NYSJIT_LANE(map1<T>(r, i, m, [](T a) { return reversed(a); }));
  default: return nullptr;
  }
}

/// Carries, comparisons, choices and moves.
template <typename T> LaneHandler carryOrChoice(LaneOp op) {
  using U = typename Traits<T>::Unsigned;
  switch (op) {
  case LaneOp::AddC: return withCarry<U, false>;
  case LaneOp::SubC: return withCarry<U, true>;
  case LaneOp::MadCLow: return madWithCarry<U, false>;
  case LaneOp::MadCHigh: return madWithCarry<U, true>;
  case LaneOp::Setp: return setp<T>;
  case LaneOp::Set: return set<T>;
  case LaneOp::Selp: return select<Storage<T>>;
  case LaneOp::Slct: return slct<Storage<T>>;
  case LaneOp::Mov: return move<Storage<T>>;
  default: return nullptr;
  }
}

template <typename T> LaneHandler forType(LaneOp op) {
  for (LaneHandler (*handlerOf)(LaneOp) :
       {sumOrProduct<T>, arithmetic<T>, bitwise<T>, bitField<T>, carryOrChoice<T>})
    if (LaneHandler handler = handlerOf(op))
      return handler;
  return nullptr;
}

} // namespace

LaneHandler integerTable(LaneOp op, Type type) {
  if (LaneHandler handler = untypedTable(op))
    return handler;
  switch (type) {
  case Type::U16:
  case Type::B16: return forType<uint16_t>(op);
  case Type::S16: return forType<int16_t>(op);
  case Type::U32:
  case Type::B32: return forType<uint32_t>(op);
  case Type::S32: return forType<int32_t>(op);
  case Type::U64:
  case Type::B64: return forType<uint64_t>(op);
  case Type::S64: return forType<int64_t>(op);
  default: return nullptr;
  }
}

const Lanes lanes = {integerTable, floatTable,         halfTable,
                     convertTable, convertPackedTable, mmaTable};

} // namespace nysjit::emulator::NYSJIT_LANES
