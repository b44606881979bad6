// mma.sync of 16 rows and 8 columns, with the arithmetic of tensor cores as published probes found
// it on sm_80 (Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ
// CS 2021; Li et al., "FTTN", 2024): products are exact; blocks of 8 products (4 of tf32) and the
// accumulator are aligned to the largest exponent among them, cut off one bit below f32's last,
// added exactly, and the sum is cut to f32 (toward zero). Products are aligned unnormalised, by the
// sum of their factors' exponents. Subnormals count. tf32 operands' low 13 bits are ignored. An f16
// accumulator is rounded to nearest after each block. Later chips use longer blocks and keep more
// bits.
//
// A fragment's register of 32 lanes is a matrix: of 16-bit elements 8 rows (B: columns) of 8 k's;
// of tf32 8 of 4; of bytes 8 of 16. Block j takes A's registers 2 j (rows 0 to 7) and 2 j + 1 (rows
// 8 to 15) and B's register j. The 8 columns of a row are worked on at once.
#include "runtime/emulator/lanes_loop.h"

#include <cmath>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace nysjit::emulator::NYSJIT_LANES {

namespace {

typedef int32_t V __attribute__((vector_size(32)));
typedef uint32_t VU __attribute__((vector_size(32)));
typedef float VF __attribute__((vector_size(32)));

enum class Element { Half, Brain, Tensor };
constexpr int32_t zeroExponent = -2000;

/// A number as mantissa * 2^(exponent - fraction bits). The mantissa is signed, scaled so that a
/// product of two has 24 bits of fraction, and stands in the low 16 bits, the high ones zero, as
/// `products` wants it.
struct Parts {
  int32_t mantissa;
  int32_t exponent;
  int32_t special; // 1: infinity or NaN, taken as zero here
};

template <Element element> inline Parts partsOf(uint32_t bits, int32_t scale) {
  constexpr int fraction = element == Element::Brain ? 7 : 10;
  constexpr int exponentBits = element == Element::Half ? 5 : 8;
  constexpr int32_t bias = (1 << (exponentBits - 1)) - 1;
  constexpr int32_t most = (1 << exponentBits) - 1;
  if (element == Element::Tensor)
    bits >>= 13;
  int32_t e = int32_t(bits >> fraction & most);
  int32_t m = int32_t(bits & ((1u << fraction) - 1));
  Parts p;
  p.special = e == most;
  m = e == 0 ? m : m | 1 << fraction;
  m = e == most ? 0 : m;
  p.exponent = m == 0 ? zeroExponent : (e == 0 ? 1 : e) - bias;
  m <<= scale;
  p.mantissa = (bits >> (fraction + exponentBits) & 1 ? -m : m) & 0xffff;
  return p;
}

#ifdef __AVX2__
inline V vmax(V a, V b) { return V(_mm256_max_epi32(__m256i(a), __m256i(b))); }
/// Lanes' signed low halves multiplied.
inline V products(V a, V b) { return V(_mm256_madd_epi16(__m256i(a), __m256i(b))); }
/// a / 2^by toward zero; any `by` from 0 on.
inline V shiftedDown(V a, V by) {
  __m256i magnitude = _mm256_abs_epi32(__m256i(a));
  return V(_mm256_sign_epi32(_mm256_srlv_epi32(magnitude, __m256i(by)), __m256i(a)));
}
#else
inline V vmax(V a, V b) { return a > b ? a : b; }
inline V products(V a, V b) { return ((a << 16) >> 16) * ((b << 16) >> 16); }
inline V shiftedDown(V a, V by) {
  V sign = a >> 31;
  V magnitude = ((a ^ sign) - sign) >> (by < 31 ? by : V{} + 31);
  return (magnitude ^ sign) - sign;
}
#endif
inline V splat(int32_t x) { return V{} + x; }

template <Element element> double valueOf(uint32_t bits) {
  return element == Element::Half    ? halfToFloat(uint16_t(bits))
         : element == Element::Brain ? bfloatToFloat(uint16_t(bits))
                                     : floatOfBits(bits & ~0x1fffu);
}

/// The sum's f32 where its exponent is out of the normal range.
float edge(int32_t magnitude, int32_t exponent) {
  double value = std::ldexp(double(magnitude), exponent);
  if (value >= 3.4028234663852886e38 * (1 + 1e-7))
    return floatOfBits(0x7f800000);
  float f = float(value);
  return double(f) > value ? floatOfBits(bitsOfFloat(f) - 1) : f;
}

template <Element element> struct Block {
  static constexpr int K = element == Element::Tensor ? 4 : 8;
  static constexpr int scaleA = element == Element::Brain ? 3 : 0;
  static constexpr int scaleB = element == Element::Brain ? 7 : 4;
  int32_t mantissaA[16][K];
  int32_t exponentA[16][K];
  alignas(32) int32_t mantissaB[K][8];
  alignas(32) int32_t exponentB[K][8];
  uint32_t specialRows = 0;
  uint32_t specialColumns = 0;

  static uint32_t bitsAt(const uint8_t *registers, int at) {
    if (element == Element::Tensor)
      return source<uint32_t>(registers, 0)[at];
    uint16_t half;
    __builtin_memcpy(&half, registers + 2 * at, 2);
    return half;
  }
  /// 8 rows (columns) of K elements; which of them hold an infinity or a NaN.
  static uint32_t decode(const uint8_t *from, int32_t *mantissa, int32_t *exponent, int scale) {
    int32_t special[8 * K];
    int32_t any = 0;
    for (int at = 0; at < 8 * K; ++at) {
      Parts p = partsOf<element>(bitsAt(from, at), scale);
      mantissa[at] = p.mantissa, exponent[at] = p.exponent, special[at] = p.special;
      any |= p.special;
    }
    uint32_t rows = 0;
    if (any) [[unlikely]]
      for (int at = 0; at < 8 * K; ++at)
        rows |= uint32_t(special[at]) << (at / K);
    return rows;
  }
  void load(const uint8_t *upper, const uint8_t *lower, const uint8_t *b) {
    specialRows = decode(upper, mantissaA[0], exponentA[0], scaleA);
    specialRows |= decode(lower, mantissaA[8], exponentA[8], scaleA) << 8;
    int32_t mantissa[8 * K];
    int32_t exponent[8 * K];
    specialColumns = decode(b, mantissa, exponent, scaleB);
    for (int k = 0; k < K; ++k)
      for (int n = 0; n < 8; ++n) {
        mantissaB[k][n] = mantissa[n * K + k];
        exponentB[k][n] = exponent[n * K + k];
      }
  }

  /// c += the block's products of row r.
  void accumulate(int r, uint32_t *c) const {
    V bits = *reinterpret_cast<const V *>(c);
    V ce = (bits >> 23) & 0xff;
    V cm = bits & 0x7fffff;
    V cs = bits >> 31;
    V subnormal = ce == 0;
    V special = ce == 255;
    cm |= ~subnormal & 0x800000;
    ce = ce - subnormal - 127; // a comparison holds as -1: a subnormal's exponent is that of 1
    V nothing = (cm == 0) | special;
    cm &= ~nothing;
    ce = nothing ? splat(2 * zeroExponent) : ce;
    V exponents[K];
    V largest = ce;
    for (int k = 0; k < K; ++k) {
      exponents[k] = *reinterpret_cast<const V *>(exponentB[k]) + exponentA[r][k];
      largest = vmax(largest, exponents[k]);
    }
    V sum = shiftedDown((cm << 1 ^ cs) - cs, largest - ce);
    for (int k = 0; k < K; ++k)
      sum +=
          shiftedDown(products(*reinterpret_cast<const V *>(mantissaB[k]), splat(mantissaA[r][k])),
                      largest - exponents[k]);
    V negative = sum >> 31;
    V magnitude = (sum ^ negative) - negative;
    VF nearest = __builtin_convertvector(magnitude, VF);
    V cut = reinterpret_cast<V>(nearest);
    cut += __builtin_convertvector(nearest, V) > magnitude; // rounded up: one less
    V exponent = (cut >> 23) + (largest - 24);
    V none = magnitude == 0;
    V odd = ((exponent <= 0) | (exponent >= 255)) & ~none;
    // Modular: where the exponent is out of range, edge() follows.
    V result = V(VU(cut) + (VU(largest - 24) << 23)) | (negative & int32_t(0x80000000));
    result &= ~none;
    __builtin_memcpy(c, &result, 32);
#ifdef __AVX2__
    bool anyOdd = !_mm256_testz_si256(__m256i(odd), __m256i(odd));
#else
    bool anyOdd = false;
    for (int n = 0; n < 8; ++n)
      anyOdd |= odd[n] != 0;
#endif
    if (anyOdd) [[unlikely]]
      for (int n = 0; n < 8; ++n)
        if (odd[n])
          c[n] = bitsOfFloat(edge(magnitude[n], largest[n] - 24)) |
                 (uint32_t(negative[n]) & 0x80000000);
  }
};

/// Where an infinity or a NaN takes part: IEEE's answer.
template <Element element>
uint32_t specialSum(const uint8_t *a, const uint8_t *b, int row, int column, uint32_t before) {
  constexpr int K = Block<element>::K;
  double sum = floatOfBits(before);
  for (int k = 0; k < K; ++k)
    sum += valueOf<element>(Block<element>::bitsAt(a, row * K + k)) *
           valueOf<element>(Block<element>::bitsAt(b, column * K + k));
  float f = float(sum);
  return f != f ? 0x7fffffff : bitsOfFloat(f);
}

/// registers: d, a, b, c; halfC: c and d are pairs of f16.
template <Element element, int blocks, bool halfC> void multiply(uint8_t *const *registers, bool) {
  constexpr int cRegisters = halfC ? 2 : 4;
  uint8_t *const *d = registers;
  uint8_t *const *a = d + cRegisters;
  uint8_t *const *b = a + 2 * blocks;
  uint8_t *const *c = b + blocks;
  alignas(64) uint32_t sums[16][8];
  for (int r = 0; r < 16; ++r)
    for (int t = 0; t < 4; ++t)
      for (int n = 0; n < 2; ++n) {
        int lane = 4 * (r & 7) + t;
        sums[r][2 * t + n] =
            halfC
                ? bitsOfFloat(halfToFloat(uint16_t(source<uint32_t>(c[r >> 3], 0)[lane] >> 16 * n)))
                : source<uint32_t>(c[2 * (r >> 3) + n], 0)[lane];
      }
  for (int j = 0; j < blocks; ++j) {
    Block<element> block;
    block.load(a[2 * j], a[2 * j + 1], b[j]);
    uint32_t before[16][8];
    __builtin_memcpy(before, sums, sizeof before);
    for (int r = 0; r < 16; ++r)
      block.accumulate(r, sums[r]);
    uint32_t specialC = 0;
    for (int at = 0; at < 128; ++at)
      specialC |= ((&before[0][0])[at] & 0x7f800000) == 0x7f800000;
    if (block.specialRows | block.specialColumns | specialC) [[unlikely]]
      for (int r = 0; r < 16; ++r)
        for (int n = 0; n < 8; ++n)
          if (block.specialRows >> r & 1 || block.specialColumns >> n & 1 ||
              (before[r][n] & 0x7f800000) == 0x7f800000)
            sums[r][n] =
                specialSum<element>(r < 8 ? a[2 * j] : a[2 * j + 1], b[j], r & 7, n, before[r][n]);
    if (halfC)
      for (int at = 0; at < 128; ++at)
        (&sums[0][0])[at] = bitsOfFloat(halfToFloat(floatToHalf(floatOfBits((&sums[0][0])[at]))));
  }
  for (int r = 0; r < 16; ++r)
    for (int t = 0; t < 4; ++t) {
      int lane = 4 * (r & 7) + t;
      uint32_t low = sums[r][2 * t];
      uint32_t high = sums[r][2 * t + 1];
      if (halfC) {
        reinterpret_cast<uint32_t *>(d[r >> 3])[lane] =
            floatToHalf(floatOfBits(low)) | uint32_t(floatToHalf(floatOfBits(high))) << 16;
      } else {
        reinterpret_cast<uint32_t *>(d[2 * (r >> 3)])[lane] = low;
        reinterpret_cast<uint32_t *>(d[2 * (r >> 3) + 1])[lane] = high;
      }
    }
}

template <bool aSigned, bool bSigned, int blocks>
void multiplyBytes(uint8_t *const *registers, bool saturate) {
  uint8_t *const *d = registers;
  uint8_t *const *a = d + 4;
  uint8_t *const *b = a + 2 * blocks;
  uint8_t *const *c = b + blocks;
  int32_t results[4][32];
  for (int r = 0; r < 16; ++r)
    for (int n = 0; n < 8; ++n) {
      int lane = 4 * (r & 7) + n / 2;
      int which = 2 * (r >> 3) + (n & 1);
      int64_t sum = int32_t(source<uint32_t>(c[which], 0)[lane]);
      for (int j = 0; j < blocks; ++j)
        for (int k = 0; k < 16; ++k) {
          uint8_t x = a[2 * j + (r >> 3)][16 * (r & 7) + k];
          uint8_t y = b[j][16 * n + k];
          sum += (aSigned ? int32_t(int8_t(x)) : int32_t(x)) *
                 (bSigned ? int32_t(int8_t(y)) : int32_t(y));
        }
      if (saturate)
        sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
      results[which][lane] = int32_t(uint32_t(uint64_t(sum)));
    }
  for (int which = 0; which < 4; ++which)
    __builtin_memcpy(d[which], results[which], 128);
}

} // namespace

MmaHandler mmaTable(Type d, Type a, Type b, uint32_t k) {
  bool halfC = d == Type::F16;
  if (a == Type::F16 && b == a && (k == 8 || k == 16)) {
    if (halfC)
      return k == 8 ? multiply<Element::Half, 1, true> : multiply<Element::Half, 2, true>;
    return d != Type::F32 ? nullptr
           : k == 8       ? multiply<Element::Half, 1, false>
                          : multiply<Element::Half, 2, false>;
  }
  if (a == Type::BF16 && b == a && d == Type::F32 && (k == 8 || k == 16))
    return k == 8 ? multiply<Element::Brain, 1, false> : multiply<Element::Brain, 2, false>;
  if (a == Type::TF32 && b == a && d == Type::F32 && (k == 4 || k == 8))
    return k == 4 ? multiply<Element::Tensor, 1, false> : multiply<Element::Tensor, 2, false>;
  bool as = a == Type::S8;
  bool bs = b == Type::S8;
  if ((as || a == Type::U8) && (bs || b == Type::U8) && d == Type::S32 && (k == 16 || k == 32)) {
    if (k == 16)
      return as   ? (bs ? multiplyBytes<true, true, 1> : multiplyBytes<true, false, 1>)
             : bs ? multiplyBytes<false, true, 1>
                  : multiplyBytes<false, false, 1>;
    return as   ? (bs ? multiplyBytes<true, true, 2> : multiplyBytes<true, false, 2>)
           : bs ? multiplyBytes<false, true, 2>
                : multiplyBytes<false, false, 2>;
  }
  return nullptr;
}

} // namespace nysjit::emulator::NYSJIT_LANES
