// Pairs by closed forms a segment; the header has the formulas.
#include "runtime/bench/work.h"
#include "runtime/reference/probes.h"
#include "runtime/spec/lengths.h"
#include "runtime/spec/tensor_table.h"

#include <algorithm>

namespace nysjit::bench {

namespace {

/// 1 + 2 + ... + count
double triangle(double count) { return count * (count + 1) / 2; }

/// What is counted of one sequence.
struct Count {
  double scores = 0;  // 2 d each, of a query head
  double rows = 0;    // that go into a sum, the same
  double means = 0;   // positions that a mean is taken over: d each of a query head, d of a key's
  double squares = 0; // operations of m x m matrices alone, of a query head

  void add(const Count &other) {
    scores += other.scores;
    rows += other.rows;
    means += other.means;
    squares += other.squares;
  }
};

/// A score each, and a row that it weighs.
Count pairs(double count) { return {.scores = count, .rows = count}; }

/// B, A and the solve of landmarks that see `before` positions and `landmarksBefore` landmarks,
/// their own segments and earlier ones. `last` positions of the last segment.
Count countSolve(double m, double segmentLen, double last, double before, double landmarksBefore) {
  if (m == 0)
    return {};
  const double seen = m * before + segmentLen * triangle(m) - (segmentLen - last); // pairs of B
  const double scores = m * landmarksBefore + triangle(m);
  const double terms = m * landmarksBefore + triangle(m - 1);
  return {.scores = seen + scores, .rows = seen + terms};
}

/// A causal part of `length` positions after a source that has `before` of them and
/// `landmarksBefore` landmarks: `causal` itself, or the target of `prefix_lm`.
Count countTarget(const KernelSpec &spec, int64_t length, int64_t segmentLen, double before,
                  double landmarksBefore) {
  const auto s = double(segmentLen);
  const auto m = double(length / segmentLen);
  Count count = spec.landmarkValue == LandmarkValue::Streaming
                    ? pairs(m * s)
                    : countSolve(m, s, s, before, landmarksBefore);
  count.means = m * s;
  count.rows += spec.landmarkWeight == LandmarkWeight::Tangent ? m * s : 0;
  for (int64_t start = 0; start < length; start += segmentLen) {
    const auto rows = double(std::min(segmentLen, length - start));
    const auto segment = double(start / segmentLen);
    const double far = std::max(segment - spec.window, 0.0);
    const double near = rows * (segment - far) * s + triangle(rows);
    count.add(pairs(near + rows * (far + landmarksBefore)));
  }
  return count;
}

/// `causal` with learned probes.
Count countProbes(const KernelSpec &spec, int64_t length, int64_t segmentLen) {
  const double probes = spec.probes;
  int64_t far = 0; // segments before the near ones
  Count count;
  for (int64_t start = 0; start < length; start += segmentLen) {
    const auto rows = double(std::min(segmentLen, length - start));
    const int64_t segment = start / segmentLen;
    far = std::max<int64_t>(segment - spec.window, 0);
    const double near = rows * double((segment - far) * segmentLen) + triangle(rows);
    count.add(pairs(near + rows * probes * double(reference::blocksBefore(far, spec).size())));
  }
  count.add(pairs(probes * double(far * segmentLen)));
  count.rows += probes * double(far * segmentLen); // k-hat
  if (spec.landmarkSpacing == LandmarkSpacing::Dyadic)
    for (int64_t size = 2; size <= far; size *= 2) {
      const int64_t merged = (far + spec.levelWidth) / size - spec.levelWidth;
      count.rows += 4 * probes * double(std::max<int64_t>(merged, 0));
    }
  return count;
}

Count countInverse(const KernelSpec &spec, double m) {
  return {.squares = spec.inverseIterations * 4 * 2 * m * m * m};
}

Count countSource(const KernelSpec &spec, double length, double m) {
  Count count = countInverse(spec, m);
  count.add(pairs(length * m)); // B V
  count.add(pairs(m * m));      // A, A+ (B V)
  count.add(pairs(length * m)); // F U
  count.means = length;
  return count;
}

Count countSegments(int64_t length, int64_t segmentLen) {
  const auto m = double((length + segmentLen - 1) / segmentLen);
  const double last = double(length) - (m - 1) * double(segmentLen);
  Count count = countSolve(m, double(segmentLen), last, 0, 0);
  count.add(pairs(double(segmentLen) * triangle(m) - (double(segmentLen) - last) * m));
  count.means = double(length);
  return count;
}

Count countPrefix(const KernelSpec &spec, int64_t length, int64_t segmentLen, int64_t sourceLen) {
  const auto m = double((sourceLen + segmentLen - 1) / segmentLen);
  const Count source = countSource(spec, double(sourceLen), m);
  Count count = countTarget(spec, length - sourceLen, segmentLen, double(sourceLen), m);
  if (length > sourceLen && spec.landmarkWeight == LandmarkWeight::Tangent)
    count.rows += double(sourceLen); // the source's k-hat
  count.add(source);
  return count;
}

/// Without A and its inverse.
Count countScan(const KernelSpec &spec, double length) {
  const bool isFirstK = spec.landmarkSource == LandmarkSource::FirstK;
  const double exact = isFirstK ? std::min(double(spec.firstK), length) : 0;
  const double m = spec.landmarks;
  const double rest = length - exact;
  Count count = pairs(triangle(exact));
  if (rest == 0)
    return count;
  count.means = isFirstK ? double(spec.firstK) : 0;
  count.add(pairs(length * m));     // sums
  count.add(pairs(rest * m));       // scores and O
  count.squares = rest * 2 * m * m; // times A+
  return count;
}

double convolutionRows(const KernelSpec &spec, int64_t length) {
  // Taps reach from `back` positions before to `ahead` after.
  const int64_t shift = spec.layout == Layout::Bidirectional ? spec.convKernel / 2 : 0;
  double taps = 0;
  for (int64_t r = 0; r < spec.convKernel; ++r)
    taps += double(std::max<int64_t>(length - std::abs(r - shift), 0));
  return taps;
}

Count countSequence(const KernelSpec &spec, int64_t length, int64_t sourceLen) {
  const int64_t segmentLen = segmentLength(spec, length);
  switch (spec.layout) {
  case Layout::ExactCausal: return pairs(triangle(double(length)));
  case Layout::Causal:
    return spec.landmarkSource == LandmarkSource::Learned
               ? countProbes(spec, length, segmentLen)
               : countTarget(spec, length, segmentLen, 0, 0);
  case Layout::SegmentCausal: return countSegments(length, segmentLen);
  case Layout::Bidirectional:
    return countSource(spec, double(length), double((length + segmentLen - 1) / segmentLen));
  case Layout::PrefixLm: return countPrefix(spec, length, segmentLen, sourceLen);
  case Layout::Scan: return countScan(spec, double(length));
  }
  return {};
}

double bytesOf(const KernelSpec &spec, const tune::TuneShape &shape) {
  const bool isPacked = !shape.sequences.empty();
  double bytes = 0;
  for (const TensorRow &row : tensorTable()) {
    const bool isResult = row.element == TensorElement::Output;
    if (!usesTensor(row, spec) || !(isResult || row.element == TensorElement::SpecDtype))
      continue;
    double numbers = 1;
    for (const std::string_view name : dimensionNames(row, isPacked))
      numbers *= double(name == "B"                      ? shape.batch
                        : name == "Hq"                   ? shape.heads
                        : name == "Hkv"                  ? shape.kvHeads
                        : name == "n" || name == "total" ? shape.length
                                                         : *specDimension(name, spec));
    bytes += numbers * (isResult || spec.dtype == DType::Float32 ? 4 : 2);
  }
  return bytes;
}

} // namespace

Work workOf(const KernelSpec &spec, const tune::TuneShape &shape) {
  std::vector<int64_t> lengths = shape.sequences;
  if (lengths.empty())
    lengths.assign(size_t(shape.batch), shape.length);
  const double d = spec.headDim;
  const auto heads = double(shape.heads);
  Work work;
  bool needsInverse = false; // of scan
  for (const int64_t length : lengths) {
    Count count = countSequence(spec, length, shape.sourceLen);
    count.rows += convolutionRows(spec, length);
    const bool isInverted = spec.layout == Layout::Scan && length > spec.firstK;
    if (isInverted && (spec.landmarkSource == LandmarkSource::FirstK || !needsInverse)) {
      count.scores += double(spec.landmarks) * spec.landmarks;
      count.squares += countInverse(spec, spec.landmarks).squares;
    }
    needsInverse = needsInverse || isInverted;
    if (spec.pass == Pass::Backward)
      count = {3 * count.scores, 2 * count.rows, count.means, 3 * count.squares};
    work.flops += heads * (2 * d * (count.scores + count.rows) + d * count.means + count.squares) +
                  double(shape.kvHeads) * d * count.means;
  }
  work.bytes = bytesOf(spec, shape);
  return work;
}

} // namespace nysjit::bench
