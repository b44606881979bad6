// Bits of sums and products by what is carried into them.
#include "tests/conformance/ptx_bits.h"

#include <algorithm>
#include <bit>

namespace nysjit::conformance {

KnownBits both(const KnownBits &a, const KnownBits &b) {
  return {a.zeros & b.zeros, a.ones & b.ones};
}

KnownBits atMost(KnownBits bits, uint64_t most) {
  if (most < (uint64_t(1) << 32))
    bits.zeros |= most ? ~(~0u >> std::countl_zero(uint32_t(most))) : ~0u;
  return bits;
}

/// A bit of a sum is known where the two are and what is carried there: what the largest and the
/// smallest numbers carry.
KnownBits sum(const KnownBits &a, const KnownBits &b) {
  const uint32_t most = a.most() + b.most();
  const uint32_t least = a.least() + b.least();
  const uint32_t carriesNot = ~(most ^ a.zeros ^ b.zeros);
  const uint32_t carries = least ^ a.ones ^ b.ones;
  const uint32_t known = (a.zeros | a.ones) & (b.zeros | b.ones) & (carriesNot | carries);
  const KnownBits bits = {~most & known, least & known};
  return atMost(bits, uint64_t(a.most()) + b.most());
}

KnownBits product(const KnownBits &a, const KnownBits &b) {
  if (a.isWhole() && b.isWhole())
    return KnownBits::of(a.ones * b.ones);
  const int low = std::min(31, std::countr_one(a.zeros) + std::countr_one(b.zeros));
  return atMost({(1u << low) - 1, 0}, uint64_t(a.most()) * b.most());
}

KnownBits shifted(const KnownBits &a, uint32_t count, bool isLeft) {
  if (count > 31)
    return KnownBits::of(0);
  return isLeft ? KnownBits{(a.zeros << count) | ((1u << count) - 1), a.ones << count}
                : KnownBits{~(~a.zeros >> count), a.ones >> count};
}

std::optional<bool> isLess(const KnownBits &a, const KnownBits &b, bool isSigned) {
  constexpr uint32_t sign = 0x80000000;
  if (isSigned && !((a.zeros & sign) && (b.zeros & sign))) {
    if ((a.ones & b.zeros & sign) || (a.zeros & b.ones & sign))
      return (a.ones & sign) != 0;
    if (!(a.ones & b.ones & sign))
      return std::nullopt;
  }
  if (a.most() < b.least())
    return true;
  return a.least() >= b.most() ? std::optional(false) : std::nullopt;
}

std::optional<bool> firstIsLess(const KnownBits &a, const KnownBits &b) {
  if (const std::optional<bool> less = isLess(a, b, true))
    return less;
  const std::optional<bool> greater = isLess(b, a, true);
  return greater ? std::optional(!*greater) : greater;
}

KnownBits truth(std::optional<bool> value) {
  return value ? KnownBits::of(*value) : KnownBits{~1u, 0};
}

} // namespace nysjit::conformance
