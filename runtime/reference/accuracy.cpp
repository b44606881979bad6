// Score sizes by rows of heads, and the bound.
#include "runtime/reference/accuracy.h"
#include "runtime/spec/layout_table.h"
#include "runtime/spec/lengths.h"

#include <algorithm>
#include <cmath>

namespace nysjit::reference {

namespace {

/// Rows of one head, `step` numbers apart.
struct Rows {
  const double *first;
  int64_t step;
  int64_t count;
  int64_t headDim;
  const double *operator[](int64_t i) const { return first + i * step; }

  double largestNorm() const {
    double largest = 0;
    for (int64_t i = 0; i < count; ++i) {
      double squares = 0;
      for (int64_t l = 0; l < headDim; ++l)
        squares += (*this)[i][l] * (*this)[i][l];
      largest = std::max(largest, squares);
    }
    return std::sqrt(largest);
  }
};

double sizeOf(const double *q, const double *k, int64_t headDim) {
  double sum = 0;
  for (int64_t l = 0; l < headDim; ++l)
    sum += std::abs(q[l] * k[l]);
  return sum;
}

/// The largest size of q_i . k_t, t < keyEnd(i), if that is over `enough`.
template <typename KeyEnd>
double largestSize(const Rows &queries, const Rows &keys, double enough, KeyEnd keyEnd) {
  // By Cauchy and Schwarz most heads need no look at single scores.
  if (queries.largestNorm() * keys.largestNorm() <= enough)
    return 0;
  double largest = 0;
  for (int64_t i = 0; i < queries.count; ++i)
    for (int64_t t = 0; t < keyEnd(i); ++t)
      largest = std::max(largest, sizeOf(queries[i], keys[t], queries.headDim));
  return largest;
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

/// What an error of scores of size 1 comes to.
double growth(const KernelSpec &spec, bool isGpu) {
  constexpr double unit = 0x1p-24; // half of float32's last place
  const double root = std::sqrt(double(spec.headDim));
  const double sum = unit * (root / 2 + (isGpu ? 6 : 2));
  if (!isGpu)
    return sum;
  if (spec.dtype == DType::Float32 && spec.float32Math == Float32Math::Tf32)
    return sum + 0x1p-11 / root;
  return spec.dtype == DType::BFloat16 ? sum + 0x1p-17 / root : sum;
}

} // namespace

double scoreSize(const ReferenceInput &input, double enough) {
  const int64_t headDim = input.spec.headDim;
  const int64_t learned = learnedQueries(input.spec);
  const double scale = std::abs(input.scale);
  const double enoughUnscaled = scale > 0 ? enough / scale : INFINITY;
  // Rows `start` to `start + length` of head h of sequence b.
  const auto rowsOf = [&](const double *tensor, int64_t heads, size_t b, int64_t h) {
    const int64_t step = input.packed ? heads * headDim : headDim;
    const int64_t head =
        input.packed ? h * headDim : (int64_t(b) * heads + h) * input.length * headDim;
    const bool isWhole = input.lengths.empty();
    return Rows{tensor + head + (isWhole ? 0 : input.starts[b] * step), step,
                isWhole ? input.length : input.lengths[b], headDim};
  };
  const size_t sequences = input.lengths.empty() ? size_t(input.batch) : input.lengths.size();
  double largest = 0;
  const auto look = [&](const Rows &queries, const Rows &keys, auto keyEnd) {
    largest = std::max(largest, scale * largestSize(queries, keys, enoughUnscaled, keyEnd));
  };
  for (size_t b = 0; b < sequences; ++b)
    for (int64_t h = 0; h < input.queryHeads; ++h) {
      const int64_t keyHead = h / (input.queryHeads / input.keyHeads);
      const Rows queries = rowsOf(input.q, input.queryHeads, b, h);
      const Rows keys = rowsOf(input.k, input.keyHeads, b, keyHead);
      const int64_t length = keys.count;
      const int64_t size = learned * headDim;
      if (input.landmarkQ) {
        const Rows learnedRows{input.landmarkQ + h * size, headDim, learned, headDim};
        look(learnedRows, keys, [&](int64_t) { return length; });
      }
      if (input.landmarkK) { // then no query meets a key
        const Rows landmarkKeys{input.landmarkK + keyHead * size, headDim, learned, headDim};
        look(queries, landmarkKeys, [&](int64_t) { return learned; });
        continue;
      }
      const int64_t sourceLength = input.sourceLengths.empty() ? 0 : input.sourceLengths[b];
      look(queries, keys,
           [&](int64_t i) { return scoredEnd(input.spec, i, length, sourceLength); });
    }
  return largest;
}

static bool takesOneTf32Product(const KernelSpec &spec, bool isGpu) {
  return isGpu && spec.dtype == DType::Float32 && spec.float32Math == Float32Math::Tf32;
}

static double boundOfSmallScores(const KernelSpec &spec, bool isGpu) {
  switch (spec.dtype) {
  case DType::Float32: return takesOneTf32Product(spec, isGpu) ? 2e-3 : 1e-5;
  case DType::Float16: return 2e-3;
  case DType::BFloat16: return 1e-2;
  }
  return 0;
}

static double gradientBoundOfSmallScores(const KernelSpec &spec, bool isGpu) {
  switch (spec.dtype) {
  case DType::Float32: return takesOneTf32Product(spec, isGpu) ? 2e-2 : 1e-5;
  case DType::Float16:
  case DType::BFloat16: return 2e-2;
  }
  return 0;
}

/// `small`, or what errors of scores of `size` come to.
static double grown(double small, const KernelSpec &spec, bool isGpu, double size) {
  return std::max(small, std::min(growth(spec, isGpu) * size, 1.0));
}

/// The same of the scores in `input`.
static double grown(double small, const ReferenceInput &input, bool isGpu) {
  const double enough = small / growth(input.spec, isGpu);
  return grown(small, input.spec, isGpu, scoreSize(input, enough));
}

double errorBound(const KernelSpec &spec, bool isGpu, double size) {
  return grown(boundOfSmallScores(spec, isGpu), spec, isGpu, size);
}

double errorBound(const ReferenceInput &input, bool isGpu) {
  return grown(boundOfSmallScores(input.spec, isGpu), input, isGpu);
}

double gradientBound(const KernelSpec &spec, bool isGpu, double size) {
  return grown(gradientBoundOfSmallScores(spec, isGpu), spec, isGpu, size);
}

double gradientBound(const ReferenceInput &input, bool isGpu) {
  return grown(gradientBoundOfSmallScores(input.spec, isGpu), input, isGpu);
}

double gradientBound(const ReferenceInput &input, bool isGpu, const Gradients &right,
                     std::string_view name, double error) {
  const double bound = gradientBound(input, isGpu);
  if (!(error > bound) || !layoutRow(input.spec.layout).iteratesInverse)
    return bound;
  const auto member = gradientTensor(name);
  const Result<Gradients> rounding = roundingOfInverse(input);
  if (!member || !rounding.ok())
    return bound;
  // Of B V, of the product, and of the steps back; scan's steps lose more where all rows of dP are
  // nearly constant, as at first positions: plain float32 code comes to five.
  const double units = input.spec.layout == Layout::Scan ? 8 : 4;
  const double moved =
      units * norm((*rounding).*member) / gradientScale(right.*member, right.doutNorm);
  return std::max(bound, std::min(moved, 1.0));
}

} // namespace nysjit::reference
