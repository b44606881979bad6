// How far a program's output and gradients may be from the float64 reference: the bounds of
// --check, the tests and the README. docs/mathematics.md derives them, section 10 that of outputs,
// section 12 that of gradients.
#pragma once
#include "runtime/reference/gradients.h"

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

/// The Frobenius norm; not finite if anything is not. No square overflows or vanishes.
template <std::ranges::random_access_range Numbers> double norm(const Numbers &x) {
  double largest = 0;
  for (const auto value : x)
    largest = std::max(largest, std::abs(double(value)));
  if (largest == 0)
    largest = 1;
  double squares = 0;
  for (const auto value : x)
    squares += double(value) / largest * (double(value) / largest);
  return std::sqrt(squares) * largest;
}

/// What an error of a gradient is relative to: ||reference||, or ||dout|| / 100 where that is more.
template <std::ranges::random_access_range Reference>
double gradientScale(const Reference &reference, double doutNorm) {
  return std::max(doutNorm / 100, norm(reference));
}

/// ||gradient - reference|| / gradientScale, for a gradient may be 0 but for rounding; 0 where all
/// of it is 0. Not finite if anything is not, or the sizes differ. `doutNorm`
/// is that of Gradients.
template <std::ranges::random_access_range Gradient, std::ranges::random_access_range Reference>
double gradientError(const Gradient &gradient, const Reference &reference, double doutNorm) {
  if (std::size(gradient) != std::size(reference))
    return std::numeric_limits<double>::infinity();
  std::vector<double> difference(std::size(gradient));
  for (size_t i = 0; i < difference.size(); ++i)
    difference[i] = double(gradient[i]) - double(reference[i]);
  const double error = norm(difference);
  const double scale = gradientScale(reference, doutNorm);
  return error == 0 && scale == 0 ? 0 : error / scale;
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

/// The largest gradientError allowed: 1e-5 in float32 and 2e-2 in 16 bits and with tf32 on a GPU,
/// for scores of `size` near 0; then it grows as errorBound.
double gradientBound(const KernelSpec &spec, bool isGpu, double size);

/// gradientBound of the scores in `input`.
double gradientBound(const ReferenceInput &input, bool isGpu);

/// The bound of gradient `name` of `right`, whose gradientError is `error`: gradientBound of the
/// scores, or in layouts that iterate an inverse four times what roundingOfInverse comes to, in
/// scan eight times, if that is more, up to 1. The latter takes the time of gradients() and is
/// looked for only where `error` needs it.
double gradientBound(const ReferenceInput &input, bool isGpu, const Gradients &right,
                     std::string_view name, double error);

} // namespace nysjit::reference
