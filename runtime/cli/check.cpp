// Norms of --check.
#include "runtime/cli/check.h"

#include <algorithm>
#include <cmath>

namespace nysjit::cli {

double relativeError(std::span<const float> o, std::span<const double> reference) {
  // Scaled by the largest value, so that no square overflows or vanishes.
  double largest = 0;
  for (size_t i = 0; i < o.size(); ++i)
    largest = std::max({largest, std::abs(double(o[i])), std::abs(reference[i])});
  if (largest == 0)
    largest = 1;
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < o.size(); ++i) {
    double expected = reference[i] / largest;
    double error = double(o[i]) / largest - expected;
    difference += error * error;
    norm += expected * expected;
  }
  return norm == 0 ? std::sqrt(difference) * largest : std::sqrt(difference / norm);
}

} // namespace nysjit::cli
