// Loops over lanes, for lanes_*.cpp alone. Everything is static or in the unnamed namespace: two
// instruction sets' versions never meet.
#pragma once
#include "runtime/emulator/half.h"
#include "runtime/emulator/lanes.h"

#include <cfenv>

namespace nysjit::emulator::NYSJIT_LANES {
namespace {

template <bool wide> struct StorageOf {
  using type = uint32_t;
};
template <> struct StorageOf<true> {
  using type = uint64_t;
};
/// What a register holds a lane in.
template <typename T> using Storage = typename StorageOf<sizeof(T) == 8>::type;

template <typename T> struct BitsOf;
template <> struct BitsOf<uint16_t> {
  using type = uint16_t;
};
template <> struct BitsOf<int16_t> {
  using type = uint16_t;
};
template <> struct BitsOf<uint32_t> {
  using type = uint32_t;
};
template <> struct BitsOf<int32_t> {
  using type = uint32_t;
};
template <> struct BitsOf<uint64_t> {
  using type = uint64_t;
};
template <> struct BitsOf<int64_t> {
  using type = uint64_t;
};
template <> struct BitsOf<float> {
  using type = uint32_t;
};
template <> struct BitsOf<double> {
  using type = uint64_t;
};

template <typename T> inline T fromBits(Storage<T> s) {
  typename BitsOf<T>::type bits = typename BitsOf<T>::type(s);
  T value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T> inline Storage<T> toBits(T value) {
  typename BitsOf<T>::type bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

template <typename S> inline const S *source(const uint8_t *registers, uint32_t offset) {
  return reinterpret_cast<const S *>(registers + offset);
}

template <typename S>
inline void commit(uint8_t *registers, uint32_t offset, const S *out, uint32_t mask) {
  S *d = reinterpret_cast<S *>(registers + offset);
  if (mask == ~0u) {
    __builtin_memcpy(d, out, 32 * sizeof(S));
    return;
  }
  for (uint32_t l = 0; l < 32; ++l)
    d[l] = mask >> l & 1 ? out[l] : d[l];
}

inline void commitPredicate(uint8_t *registers, uint32_t offset, uint32_t value, uint32_t mask) {
  if (offset == noOperand)
    return;
  uint32_t *p = reinterpret_cast<uint32_t *>(registers + offset);
  *p = (*p & ~mask) | (value & mask);
}

template <typename T, typename R = T, typename F>
inline void map1(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  alignas(64) Storage<R> out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = toBits<R>(f(fromBits<T>(a[l])));
  commit(r, i.op[0], out, mask);
}
template <typename T, typename R = T, typename F>
inline void map2(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  const Storage<T> *b = source<Storage<T>>(r, i.op[2]);
  alignas(64) Storage<R> out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = toBits<R>(f(fromBits<T>(a[l]), fromBits<T>(b[l])));
  commit(r, i.op[0], out, mask);
}
/// The second operand is 32 bits whatever T: shifts.
template <typename T, typename F>
inline void mapShift(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]);
  alignas(64) Storage<T> out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = toBits<T>(f(fromBits<T>(a[l]), b[l]));
  commit(r, i.op[0], out, mask);
}
template <typename T, typename R = T, typename F>
inline void map3(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const Storage<T> *a = source<Storage<T>>(r, i.op[1]);
  const Storage<T> *b = source<Storage<T>>(r, i.op[2]);
  const Storage<R> *c = source<Storage<R>>(r, i.op[3]);
  alignas(64) Storage<R> out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = toBits<R>(f(fromBits<T>(a[l]), fromBits<T>(b[l]), fromBits<R>(c[l])));
  commit(r, i.op[0], out, mask);
}

/// Which lanes f holds for.
template <typename T, typename F>
inline uint32_t which(const Storage<T> *a, const Storage<T> *b, F f) {
  uint32_t bits = 0;
  for (uint32_t l = 0; l < 32; ++l)
    bits |= f(fromBits<T>(a[l]), fromBits<T>(b[l])) ? 1u << l : 0;
  return bits;
}

template <typename T>
inline uint32_t compareLanes(Compare compare, const Storage<T> *a, const Storage<T> *b) {
  switch (compare) {
  case Compare::Eq: return which<T>(a, b, [](T x, T y) { return x == y; });
  case Compare::Ne:
    return which<T>(a, b, [](T x, T y) { return (x < y) | (x > y); }); // not for unordered floats
  case Compare::Lt: return which<T>(a, b, [](T x, T y) { return x < y; });
  case Compare::Le: return which<T>(a, b, [](T x, T y) { return x <= y; });
  case Compare::Gt: return which<T>(a, b, [](T x, T y) { return x > y; });
  case Compare::Ge: return which<T>(a, b, [](T x, T y) { return x >= y; });
  case Compare::Equ: return which<T>(a, b, [](T x, T y) { return !((x < y) | (x > y)); });
  case Compare::Neu: return which<T>(a, b, [](T x, T y) { return x != y; });
  case Compare::Ltu: return which<T>(a, b, [](T x, T y) { return !(x >= y); });
  case Compare::Leu: return which<T>(a, b, [](T x, T y) { return !(x > y); });
  case Compare::Gtu: return which<T>(a, b, [](T x, T y) { return !(x <= y); });
  case Compare::Geu: return which<T>(a, b, [](T x, T y) { return !(x < y); });
  case Compare::Num: return which<T>(a, b, [](T x, T y) { return (x == x) & (y == y); });
  case Compare::Nan: return which<T>(a, b, [](T x, T y) { return (x != x) | (y != y); });
  }
  return 0;
}

/// p = (a cmp b) with c, q = !(a cmp b) with c.
inline void finishSetp(uint8_t *r, const Instruction &i, uint32_t mask, uint32_t holds) {
  uint32_t p = holds;
  uint32_t q = ~holds;
  if (Combine(i.count) != Combine::None) {
    uint32_t c = *source<uint32_t>(r, i.op[3]);
    c = i.flag ? ~c : c;
    switch (Combine(i.count)) {
    case Combine::And: p &= c, q &= c; break;
    case Combine::Or: p |= c, q |= c; break;
    default: p ^= c, q ^= c; break;
    }
  }
  commitPredicate(r, i.op[0], p, mask);
  commitPredicate(r, i.op[4], q, mask);
}

/// set: all ones, or 1.0 if the destination is a float (i.type).
inline void finishSet(uint8_t *r, const Instruction &i, uint32_t mask, uint32_t holds) {
  if (Combine(i.count) != Combine::None) {
    uint32_t c = *source<uint32_t>(r, i.op[3]);
    c = i.flag ? ~c : c;
    holds = Combine(i.count) == Combine::And  ? holds & c
            : Combine(i.count) == Combine::Or ? holds | c
                                              : holds ^ c;
  }
  uint32_t one = i.type == Type::F32    ? 0x3f800000
                 : i.type == Type::F16  ? 0x3c00
                 : i.type == Type::BF16 ? 0x3f80
                                        : ~0u;
  if (i.variant & 0x80) // a 16-bit register
    one &= 0xffff;
  alignas(64) uint32_t out[32];
  for (uint32_t l = 0; l < 32; ++l)
    out[l] = holds >> l & 1 ? one : 0;
  commit(r, i.op[0], out, mask);
}

/// The CPU's rounding for a scope. The barriers keep arithmetic on memory inside.
class RoundingScope {
public:
  explicit RoundingScope(Rounding rounding) : was(std::fegetround()) {
    std::fesetround(rounding == Rounding::Zero || rounding == Rounding::ZeroInteger ? FE_TOWARDZERO
                    : rounding == Rounding::Down || rounding == Rounding::DownInteger ? FE_DOWNWARD
                    : rounding == Rounding::Up || rounding == Rounding::UpInteger ? FE_UPWARD
                                                                                  : FE_TONEAREST);
    asm volatile("" ::: "memory");
  }
  ~RoundingScope() {
    asm volatile("" ::: "memory");
    std::fesetround(was);
  }

private:
  int was;
};
inline bool directed(Rounding rounding) {
  return rounding == Rounding::Zero || rounding == Rounding::Down || rounding == Rounding::Up;
}

inline float flushed(float x) {
  uint32_t bits = bitsOfFloat(x);
  return floatOfBits((bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits);
}

} // namespace

LaneHandler integerTable(LaneOp op, Type type);
LaneHandler untypedTable(LaneOp op); // null where the type matters
LaneHandler floatTable(LaneOp op, Type type);
LaneHandler halfTable(LaneOp op, Type type);
LaneHandler convertTable(Type to, Type from, const Instruction &i);
LaneHandler convertPackedTable(Type to);
MmaHandler mmaTable(Type d, Type a, Type b, uint32_t k);

} // namespace nysjit::emulator::NYSJIT_LANES

/// A lane handler from statements on (r, i, m).
#define NYSJIT_LANE(...) [](uint8_t *r, const Instruction &i, uint32_t m) { __VA_ARGS__; }
