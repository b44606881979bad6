// What has one width whatever the type: shifts of pairs, permutations, tables, predicates, packing.
#include "runtime/emulator/lanes_loop.h"

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector, uint8_t mode) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  if (mode) { // f4e, b4e, rc8, ecl, ecr, rc16
    uint32_t s = selector & 3;
    uint32_t out = 0;
    for (uint32_t n = 0; n < 4; ++n) {
      uint32_t from = mode == 1   ? s + n
                      : mode == 2 ? (s - n) & 7
                      : mode == 3 ? s
                      : mode == 4 ? (n > s ? n : s)
                      : mode == 5 ? (n < s ? n : s)
                                  : (s & 1) * 2 + (n & 1);
      out |= uint32_t(bytes >> 8 * from & 0xff) << 8 * n;
    }
    return out;
  }
  uint32_t out = 0;
  for (uint32_t n = 0; n < 4; ++n) {
    uint32_t s = selector >> 4 * n;
    uint32_t byte = uint32_t(bytes >> 8 * (s & 7)) & 0xff;
    byte = s & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
    out |= byte << 8 * n;
  }
  return out;
}

uint32_t nthSet(uint32_t mask, uint32_t base, int32_t offset) {
  if (offset == 0)
    return base < 32 && mask >> base & 1 ? base : ~0u;
  int32_t step = offset > 0 ? 1 : -1;
  int32_t left = offset > 0 ? offset : -offset;
  for (int32_t bit = int32_t(base); bit >= 0 && bit < 32; bit += step)
    if (mask >> bit & 1 && --left == 0)
      return uint32_t(bit);
  return ~0u;
}

/// d = f(b, a, n) with n = c; flag: c wraps at 32, else it stops there.
template <typename F> void funnel(uint8_t *r, const Instruction &i, uint32_t mask, F f) {
  const uint32_t *a = source<uint32_t>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]);
  const uint32_t *c = source<uint32_t>(r, i.op[3]);
  uint32_t out[32];
  for (uint32_t l = 0; l < 32; ++l) {
    uint32_t n = i.flag ? c[l] & 31 : c[l] < 32 ? c[l] : 32;
    out[l] = f(b[l], a[l], n);
  }
  commit(r, i.op[0], out, mask);
}
/// The upper half of b:a shifted left.
void funnelLeft(uint8_t *r, const Instruction &i, uint32_t mask) {
  funnel(r, i, mask, [](uint64_t b, uint32_t a, uint32_t n) {
    return n == 32 ? a : uint32_t((b << 32 | a) << n >> 32);
  });
}
/// The lower half of b:a shifted right.
void funnelRight(uint8_t *r, const Instruction &i, uint32_t mask) {
  funnel(r, i, mask,
         [](uint64_t b, uint32_t a, uint32_t n) { return uint32_t((b << 32 | a) >> n); });
}

/// d = lop3(a, b, c) by its table, `immediate`.
void lop3(uint8_t *r, const Instruction &i, uint32_t mask) {
  const uint32_t *a = source<uint32_t>(r, i.op[1]);
  const uint32_t *b = source<uint32_t>(r, i.op[2]);
  const uint32_t *c = source<uint32_t>(r, i.op[3]);
  alignas(64) uint32_t out[32] = {};
  for (uint32_t term = 0; term < 8; ++term) {
    if (!(i.immediate >> term & 1))
      continue;
    uint32_t na = term & 4 ? 0 : ~0u;
    uint32_t nb = term & 2 ? 0 : ~0u;
    uint32_t nc = term & 1 ? 0 : ~0u;
    for (uint32_t l = 0; l < 32; ++l)
      out[l] |= (a[l] ^ na) & (b[l] ^ nb) & (c[l] ^ nc);
  }
  commit(r, i.op[0], out, mask);
}

/// Joins `pieces` registers of 16 or 32 bits; noOperand as a piece does not occur.
template <typename S, uint32_t pieces, uint32_t bits>
void pack(uint8_t *r, const Instruction &i, uint32_t mask) {
  alignas(64) S out[32] = {};
  for (uint32_t p = 0; p < pieces; ++p) {
    const uint32_t *from = source<uint32_t>(r, i.op[1 + p]);
    for (uint32_t l = 0; l < 32; ++l)
      out[l] |= S(from[l]) << (bits * p);
  }
  commit(r, i.op[0], out, mask);
}
/// op[4] is the source, op[0...] the pieces.
template <typename S, uint32_t pieces, uint32_t bits>
void unpack(uint8_t *r, const Instruction &i, uint32_t mask) {
  alignas(64) S from[32];
  __builtin_memcpy(from, r + i.op[4], sizeof from);
  for (uint32_t p = 0; p < pieces; ++p) {
    if (i.op[p] == noOperand)
      continue;
    alignas(64) uint32_t out[32];
    for (uint32_t l = 0; l < 32; ++l)
      out[l] =
          bits == 16 ? uint32_t(from[l] >> (bits * p)) & 0xffff : uint32_t(from[l] >> (bits * p));
    commit(r, i.op[p], out, mask);
  }
}

int32_t dotBytes(uint32_t a, bool aSigned, uint32_t b, bool bSigned, int32_t c) {
  for (uint32_t n = 0; n < 4; ++n, a >>= 8, b >>= 8)
    c = int32_t(uint32_t(c) + uint32_t((aSigned ? int32_t(int8_t(a)) : int32_t(a & 0xff)) *
                                       (bSigned ? int32_t(int8_t(b)) : int32_t(b & 0xff))));
  return c;
}

} // namespace

LaneHandler untypedTable(LaneOp op) {
  switch (op) {
  case LaneOp::ShfLeft: return funnelLeft;
  case LaneOp::ShfRight: return funnelRight;
  case LaneOp::Prmt:
    return NYSJIT_LANE(uint8_t mode = i.variant;
                       map3<uint32_t>(r, i, m, [mode](uint32_t a, uint32_t b, uint32_t c) {
                         return permuted(a, b, c, mode);
                       }));
  case LaneOp::Lop3: return lop3;
  case LaneOp::Fns:
    return NYSJIT_LANE(map3<uint32_t>(
        r, i, m, [](uint32_t a, uint32_t b, uint32_t c) { return nthSet(a, b, int32_t(c)); }));
  case LaneOp::Dp4a: // variant: bit 0 a signed, bit 1 b signed
    return NYSJIT_LANE(uint8_t v = i.variant;
                       map3<uint32_t>(r, i, m, [v](uint32_t a, uint32_t b, uint32_t c) {
                         return uint32_t(dotBytes(a, v & 1, b, v & 2, int32_t(c)));
                       }));
  case LaneOp::Bmsk: // flag: wrap
    return NYSJIT_LANE(bool wrap = i.flag; map2<uint32_t>(r, i, m, [wrap](uint32_t a, uint32_t b) {
                         a = wrap ? a & 31 : a, b = wrap ? b & 31 : b;
                         return a >= 32 || b == 0 ? 0u : (b >= 32 ? ~0u : (1u << b) - 1) << a;
                       }));
  case LaneOp::MovPredicate:
    return NYSJIT_LANE(uint32_t a = *source<uint32_t>(r, i.op[1]);
                       commitPredicate(r, i.op[0], i.flag ? ~a : a, m));
  case LaneOp::NotPredicate:
    return NYSJIT_LANE(commitPredicate(r, i.op[0], ~*source<uint32_t>(r, i.op[1]), m));
  case LaneOp::AndPredicate:
    return NYSJIT_LANE(commitPredicate(
        r, i.op[0], *source<uint32_t>(r, i.op[1]) & *source<uint32_t>(r, i.op[2]), m));
  case LaneOp::OrPredicate:
    return NYSJIT_LANE(commitPredicate(
        r, i.op[0], *source<uint32_t>(r, i.op[1]) | *source<uint32_t>(r, i.op[2]), m));
  case LaneOp::XorPredicate:
    return NYSJIT_LANE(commitPredicate(
        r, i.op[0], *source<uint32_t>(r, i.op[1]) ^ *source<uint32_t>(r, i.op[2]), m));
  case LaneOp::Pack16: return pack<uint32_t, 2, 16>;
  case LaneOp::Pack32: return pack<uint64_t, 2, 32>;
  case LaneOp::Pack16Wide: return pack<uint64_t, 4, 16>;
  case LaneOp::Unpack16: return unpack<uint32_t, 2, 16>;
  case LaneOp::Unpack32: return unpack<uint64_t, 2, 32>;
  case LaneOp::Unpack16Wide: return unpack<uint64_t, 4, 16>;
  default: return nullptr;
  }
}

} // namespace nysjit::emulator::NYSJIT_LANES
