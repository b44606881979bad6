// float16 and bfloat16 as their 16 bits: conversions rounded to nearest, ties to even. Subnormals,
// infinities and NaN kept.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace nysjit {

inline float bfloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t floatToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float float16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1f;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0x1f) // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) { // zero and subnormals: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

inline uint16_t floatToFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::fabs(value);
  if (std::isnan(value))
    return static_cast<uint16_t>(sign | 0x7e00 | (bits >> 13 & 0x3ff));
  if (magnitude >= 65520.0f) // halfway to the next after 65504, and beyond
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x1p-14f) // subnormal: a multiple of 2^-24, which the float adder rounds for us
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(magnitude + 0.5f) - std::bit_cast<uint32_t>(0.5f)));
  const uint32_t absolute = bits & 0x7fffffff;
  return static_cast<uint16_t>(sign |
                               (((absolute + 0xfff + (absolute >> 13 & 1)) >> 13) - (112 << 10)));
}

} // namespace nysjit
