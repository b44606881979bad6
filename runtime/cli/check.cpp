// Norms and bounds of --check.
#include "runtime/cli/check.h"

#include <algorithm>
#include <cmath>

namespace nysjit::cli {

namespace {

constexpr double largeScore = 500;

double dot(const double *a, const double *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += a[i] * b[i];
  return sum;
}

/// The largest norm among `rows` rows.
double largestNorm(const double *rows, int64_t count, int64_t headDim) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, dot(rows + i * headDim, rows + i * headDim, headDim));
  return std::sqrt(largest);
}

} // namespace

double relativeError(std::span<const float> o, std::span<const double> reference) {
  // Scaled by the largest value, so that no square overflows or vanishes.
  double largest = 0;
  for (size_t i = 0; i < o.size(); ++i)
    largest = std::max({largest, std::abs(double(o[i])), std::abs(reference[i])});
  if (largest == 0)
    largest = 1;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < o.size(); ++i) {
    double expected = reference[i] / largest, error = double(o[i]) / largest - expected;
    difference += error * error;
    norm += expected * expected;
  }
  return norm == 0 ? std::sqrt(difference) * largest : std::sqrt(difference / norm);
}

bool hasLargeScores(std::span<const double> q, std::span<const double> k, const Extents &extents, double scale) {
  const auto [batch, queryHeads, keyHeads, length, headDim] = extents;
  for (int64_t head = 0; head < batch * queryHeads; ++head) {
    int64_t keyHead = head / queryHeads * keyHeads + head % queryHeads / (queryHeads / keyHeads);
    const double *queries = q.data() + head * length * headDim, *keys = k.data() + keyHead * length * headDim;
    // By Cauchy-Schwarz most heads need no look at single scores.
    if (!(std::abs(scale) * largestNorm(queries, length, headDim) * largestNorm(keys, length, headDim) > largeScore))
      continue;
    for (int64_t i = 0; i < length; ++i)
      for (int64_t t = 0; t <= i; ++t)
        if (std::abs(scale * dot(queries + i * headDim, keys + t * headDim, headDim)) > largeScore)
          return true;
  }
  return false;
}

double errorBound(DType dtype, bool hasLargeScores) {
  switch (dtype) {
  case DType::Float32:
    return hasLargeScores ? 1e-4 : 1e-5;
  case DType::Float16:
    return 2e-3;
  case DType::BFloat16:
    return 1e-2;
  }
  return 0;
}

} // namespace nysjit::cli
