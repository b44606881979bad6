// What is known of a 32-bit number: bits that are the same in every run; and of numbers made of it.
#pragma once
#include <cstdint>
#include <optional>

namespace nysjit::conformance {

/// Bits that are surely 0 and surely 1. A predicate is a number of one bit; of 64-bit numbers it is
/// the lower half.
struct KnownBits {
  uint32_t zeros = 0;
  uint32_t ones = 0;

  static KnownBits of(uint32_t value) { return {~value, value}; }
  uint32_t least() const { return ones; } // unsigned
  uint32_t most() const { return ~zeros; }
  bool isWhole() const { return (zeros ^ ones) == ~0u; }
  /// Whether a number of these bits is never one of those.
  bool differsFrom(const KnownBits &other) const {
    return ((zeros & other.ones) | (ones & other.zeros)) != 0;
  }
  bool operator==(const KnownBits &) const = default;
};

/// What both have.
KnownBits both(const KnownBits &a, const KnownBits &b);
/// Of a number that is also at most `most`.
KnownBits atMost(KnownBits bits, uint64_t most);
KnownBits sum(const KnownBits &a, const KnownBits &b);
KnownBits product(const KnownBits &a, const KnownBits &b);
KnownBits shifted(const KnownBits &a, uint32_t count, bool isLeft);
/// Of a predicate.
KnownBits truth(std::optional<bool> value);

/// a < b, if it is known.
std::optional<bool> isLess(const KnownBits &a, const KnownBits &b, bool isSigned);
/// Whether a may be taken for the smaller one of two signed numbers, or b.
std::optional<bool> firstIsLess(const KnownBits &a, const KnownBits &b);

} // namespace nysjit::conformance
