// Heads and sequences, their rows gathered into [n, d] matrices.
#include "runtime/reference/heads.h"
#include "runtime/spec/lengths.h"

#include <algorithm>

namespace nysjit::reference {

/// Position t (from the sequence's first) as an offset into a tensor.
static int64_t offset(const ReferenceInput &input, const HeadPlace &place, HeadOfTensor of,
                      int64_t t) {
  const int64_t d = input.spec.headDim;
  const int64_t row = place.start + t;
  return input.packed ? (row * of.heads + of.head) * d
                      : ((place.sequence * of.heads + of.head) * input.length + row) * d;
}

size_t tensorSize(const ReferenceInput &input, int64_t heads) {
  const int64_t rows = input.packed ? input.length : input.batch * input.length;
  return static_cast<size_t>(rows * heads * input.spec.headDim);
}

Matrix gather(const ReferenceInput &input, const double *tensor, const HeadPlace &place,
              HeadOfTensor of) {
  Matrix rows(place.length, input.spec.headDim);
  for (int64_t t = 0; t < place.length; ++t)
    std::copy_n(tensor + offset(input, place, of, t), rows.columns, rows.row(t));
  return rows;
}

void addRows(const Matrix &rows, const ReferenceInput &input, const HeadPlace &place,
             HeadOfTensor of, std::vector<double> &tensor) {
  for (int64_t t = 0; t < rows.rows; ++t)
    addTo(tensor.data() + offset(input, place, of, t), 1, rows.row(t), rows.columns);
}

/// [m, d] of head h; in `causal` the r probes.
static Matrix learned(const double *tensor, int64_t h, const KernelSpec &spec) {
  const int64_t count = learnedQueries(spec);
  Matrix rows(tensor ? count : 0, spec.headDim);
  if (tensor)
    std::copy_n(tensor + h * count * spec.headDim, count * spec.headDim, rows.values.begin());
  return rows;
}

Status forEachHead(const ReferenceInput &input,
                   const std::function<void(const HeadPlace &, const LayoutInput &)> &visit) {
  const KernelSpec &spec = input.spec;
  std::vector<int64_t> starts = input.starts;
  std::vector<int64_t> lengths = input.lengths;
  if (lengths.empty() && !input.packed) {
    starts.assign(static_cast<size_t>(input.batch), 0);
    lengths.assign(static_cast<size_t>(input.batch), input.length);
  }
  const std::optional<int64_t> longest = maximumLength(spec);
  for (size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] == 0)
      continue;
    if (longest && lengths[b] > *longest)
      return Error::mismatch(ErrorKind::InvalidShape, "q", expectedLength(*longest),
                             std::to_string(lengths[b]));
    for (int64_t h = 0; h < input.queryHeads; ++h) {
      const HeadPlace place{static_cast<int64_t>(b), starts[b], lengths[b], h,
                            h / (input.queryHeads / input.keyHeads)}; // grouped queries
      const Head head{gather(input, input.q, place, queryHead(input, place)),
                      gather(input, input.k, place, keyHead(input, place)),
                      gather(input, input.v, place, keyHead(input, place)), input.scale};
      LayoutInput of{head, spec, segmentLength(spec, place.length)};
      if (!input.sourceLengths.empty())
        of.sourceLen = input.sourceLengths[b];
      of.learnedQ = learned(input.landmarkQ, h, spec);
      of.learnedK = learned(input.landmarkK, place.keyHead, spec);
      visit(place, of);
    }
  }
  return {};
}

} // namespace nysjit::reference
