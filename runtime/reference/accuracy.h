// How far a program's output may be from the float64 reference: the one bound of --check, the tests
// and the README. docs/mathematics.md, section 10, derives it.
#pragma once
#include "runtime/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>

namespace nysjit::reference {

/// ||o - reference|| / ||reference||, the Frobenius norm over all elements; ||o|| where the
/// reference is 0. Not finite if anything in it is not, or the sizes differ. No square overflows or
/// vanishes.
template <std::ranges::random_access_range Output, std::ranges::random_access_range Reference>
double relativeError(const Output &o, const Reference &reference) {
  if (std::size(o) != std::size(reference))
    return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < std::size(o); ++i)
    largest = std::max({largest, std::abs(double(o[i])), std::abs(double(reference[i]))});
  if (largest == 0)
    largest = 1;
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < std::size(o); ++i) {
    const double expected = double(reference[i]) / largest;
    const double error = double(o[i]) / largest - expected;
    difference += error * error;
    norm += expected * expected;
  }
  return norm == 0 ? std::sqrt(difference) * largest : std::sqrt(difference / norm);
}

/// The size of the largest score q_i . k_t that the layout has a use for: |scale| times the sum
/// over its terms of |q_il k_tl|, which is what float32 errors of the sum are relative to. Exact
/// where it is over `enough`; else some number up to that, found without a look at single scores.
/// What lies outside of the sequences is not looked at.
double scoreSize(const ReferenceInput &input, double enough = 0);

/// The largest relative error allowed of scores of `size`: `bound(0)` for small ones (float32 1e-5,
/// 2e-3 with float32_math tf32 on a GPU; float16 2e-3; bfloat16 1e-2), then in proportion to them,
/// as the rounding of the scores itself; 1 at most.
double errorBound(const KernelSpec &spec, bool isGpu, double size);

/// errorBound of the scores in `input`.
double errorBound(const ReferenceInput &input, bool isGpu);

} // namespace nysjit::reference
