// f16 and bf16 as 16 bits, to and from float: round to nearest even, subnormals kept, NaN
// canonical. Branch-free, so that loops over lanes vectorise. Static: each instruction set compiles
// its own.
#pragma once
#include <cstdint>

namespace nysjit::emulator {

static inline uint32_t bitsOfFloat(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}
static inline float floatOfBits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

static inline float halfToFloat(uint16_t h) {
  uint32_t magnitude = uint32_t(h & 0x7fff) << 13;
  // 2^112 moves the exponent from 15's bias to 127's and normalises subnormals.
  uint32_t bits = bitsOfFloat(floatOfBits(magnitude) * floatOfBits(0x77800000));
  bits = magnitude >= 0x0f800000 ? magnitude | 0x7f800000 : bits; // infinity, NaN
  return floatOfBits(bits | uint32_t(h & 0x8000) << 16);
}

static inline uint16_t floatToHalf(float value) {
  uint32_t bits = bitsOfFloat(value);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  uint32_t normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
  // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the addition.
  uint32_t small = bitsOfFloat(floatOfBits(magnitude) + 0.5f) - 0x3f000000;
  uint32_t result = magnitude < 0x38800000 ? small : normal;
  result = magnitude >= 0x47800000 || result > 0x7c00 ? 0x7c00 : result;
  return uint16_t(magnitude > 0x7f800000 ? 0x7fff : result | sign);
}

static inline float bfloatToFloat(uint16_t b) { return floatOfBits(uint32_t(b) << 16); }

static inline uint16_t floatToBfloat(float value) {
  uint32_t bits = bitsOfFloat(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : rounded);
}

} // namespace nysjit::emulator
