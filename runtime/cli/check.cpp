// Norms and bounds of --check.
#include "runtime/cli/check.h"
#include "runtime/spec/layout_table.h"
#include "runtime/spec/lengths.h"

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

/// Rows of one head, `step` numbers apart.
struct Rows {
  const double *first;
  int64_t step;
  int64_t count;
  int64_t headDim;
  const double *operator[](int64_t i) const { return first + i * step; }

  double largestNorm() const {
    double largest = 0;
    for (int64_t i = 0; i < count; ++i)
      largest = std::max(largest, dot((*this)[i], (*this)[i], headDim));
    return std::sqrt(largest);
  }
};

/// Is some |scale q_i . k_t| large, t < keyEnd(i)?
template <typename KeyEnd>
bool isSomeLarge(const Rows &queries, const Rows &keys, double scale, KeyEnd keyEnd) {
  // By Cauchy-Schwarz most heads need no look at single scores.
  if (!(std::abs(scale) * queries.largestNorm() * keys.largestNorm() > largeScore))
    return false;
  for (int64_t i = 0; i < queries.count; ++i)
    for (int64_t t = 0; t < keyEnd(i); ++t)
      if (std::abs(scale * dot(queries[i], keys[t], queries.headDim)) > largeScore)
        return true;
  return false;
}

/// One past the last position whose key position i, or the landmark of its segment, is scored
/// against.
int64_t scoredEnd(const KernelSpec &spec, int64_t i, int64_t length, int64_t sourceLength) {
  const int64_t segmentLen = segmentLength(spec, length);
  const auto segmentEnd = [&](int64_t start) {
    return std::min(start + ((i - start) / segmentLen + 1) * segmentLen, length);
  };
  switch (layoutRow(spec.layout).reach) {
  case Reach::Itself: return i + 1;
  case Reach::OwnSegment: return segmentEnd(0);
  case Reach::SourceThenOwnSegment:
    return i < sourceLength ? sourceLength : segmentEnd(sourceLength);
  case Reach::Everything: break;
  }
  return length;
}

} // namespace

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

bool hasLargeScores(const reference::ReferenceInput &input) {
  const int64_t headDim = input.spec.headDim;
  const int64_t landmarks = input.spec.landmarks;
  // Rows `start` to `start + length` of head h of sequence b.
  const auto rowsOf = [&](const double *tensor, int64_t heads, size_t b, int64_t h) {
    const int64_t step = input.packed ? heads * headDim : headDim;
    const int64_t head =
        input.packed ? h * headDim : (int64_t(b) * heads + h) * input.length * headDim;
    return Rows{tensor + head + input.starts[b] * step, step, input.lengths[b], headDim};
  };
  for (size_t b = 0; b < input.lengths.size(); ++b)
    for (int64_t h = 0; h < input.queryHeads; ++h) {
      const int64_t keyHead = h / (input.queryHeads / input.keyHeads);
      const int64_t length = input.lengths[b];
      const Rows queries = rowsOf(input.q, input.queryHeads, b, h);
      const Rows keys = rowsOf(input.k, input.keyHeads, b, keyHead);
      if (input.landmarkQ) { // then no query meets a key
        const Rows landmarkQueries{input.landmarkQ + h * landmarks * headDim, headDim, landmarks,
                                   headDim};
        const Rows landmarkKeys{input.landmarkK + keyHead * landmarks * headDim, headDim, landmarks,
                                headDim};
        if (isSomeLarge(queries, landmarkKeys, input.scale, [&](int64_t) { return landmarks; }) ||
            isSomeLarge(landmarkQueries, keys, input.scale, [&](int64_t) { return length; }))
          return true;
        continue;
      }
      const int64_t sourceLength = input.sourceLengths.empty() ? 0 : input.sourceLengths[b];
      if (isSomeLarge(queries, keys, input.scale,
                      [&](int64_t i) { return scoredEnd(input.spec, i, length, sourceLength); }))
        return true;
    }
  return false;
}

double errorBound(const KernelSpec &spec, bool isGpu, bool hasLargeScores) {
  switch (spec.dtype) {
  case DType::Float32:
    if (isGpu && spec.float32Math == Float32Math::Tf32)
      return 2e-3;
    return hasLargeScores ? 1e-4 : 1e-5;
  case DType::Float16: return 2e-3;
  case DType::BFloat16: return 1e-2;
  }
  return 0;
}

} // namespace nysjit::cli
