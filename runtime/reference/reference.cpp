// Heads and sequences: gathers [n, d] matrices, runs the layout, adds the convolution, scatters.
#include "runtime/reference/reference.h"
#include "runtime/spec/lengths.h"

#include <algorithm>

namespace nysjit::reference {

namespace {

/// Position t of head h of sequence b, as an offset into a tensor of `heads` heads.
struct Indexing {
  const ReferenceInput &input;
  int64_t operator()(int64_t b, int64_t h, int64_t heads, int64_t t) const {
    const int64_t d = input.spec.headDim;
    return input.packed ? (t * heads + h) * d : ((b * heads + h) * input.length + t) * d;
  }
};

Matrix gather(const ReferenceInput &input, const double *tensor, int64_t b, int64_t h,
              int64_t heads, int64_t start, int64_t length) {
  const Indexing at{input};
  Matrix rows(length, input.spec.headDim);
  for (int64_t t = 0; t < length; ++t) {
    const double *from = tensor + at(b, h, heads, start + t);
    std::copy(from, from + input.spec.headDim, rows.row(t));
  }
  return rows;
}

/// [m, d] of head h; in `causal` the r probes.
Matrix learned(const double *tensor, int64_t h, const KernelSpec &spec) {
  const int64_t count = learnedQueries(spec);
  Matrix rows(tensor ? count : 0, spec.headDim);
  if (tensor)
    std::copy_n(tensor + h * count * spec.headDim, count * spec.headDim, rows.values.begin());
  return rows;
}

/// Centred for bidirectional: O_i += sum_r w_r v_{i - r + floor(c / 2)}; else looking back only:
/// O_i += sum_r w_r v_{i - r}.
void addConvolution(Matrix &out, const Matrix &v, const double *taps, const KernelSpec &spec) {
  const int64_t shift = spec.layout == Layout::Bidirectional ? spec.convKernel / 2 : 0;
  for (int64_t i = 0; i < out.rows; ++i)
    for (int64_t r = 0; r < spec.convKernel; ++r)
      if (const int64_t t = i - r + shift; t >= 0 && t < v.rows)
        for (int64_t e = 0; e < v.columns; ++e)
          out(i, e) += taps[r] * v(t, e);
}

Matrix layoutOf(const Head &head, const ReferenceInput &input, int64_t segmentLen, int64_t sequence,
                int64_t h, int64_t keyHead) {
  const KernelSpec &spec = input.spec;
  LayoutInput of{head, spec, segmentLen};
  if (!input.sourceLengths.empty())
    of.sourceLen = input.sourceLengths[static_cast<size_t>(sequence)];
  of.learnedQ = learned(input.landmarkQ, h, spec);
  of.learnedK = learned(input.landmarkK, keyHead, spec);
  switch (spec.layout) {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  case Layout::id: return function(of);
#include "runtime/spec/layouts.def"
  }
  return Matrix();
}

struct InputRow {
  std::string_view name;
  const double *ReferenceInput::*member;
};
constexpr InputRow inputRows[] = {{"q", &ReferenceInput::q},
                                  {"k", &ReferenceInput::k},
                                  {"v", &ReferenceInput::v},
                                  {"landmark_q", &ReferenceInput::landmarkQ},
                                  {"landmark_k", &ReferenceInput::landmarkK},
                                  {"conv", &ReferenceInput::conv}};

} // namespace

const double *ReferenceInput::*inputTensor(std::string_view name) {
  for (const InputRow &row : inputRows)
    if (row.name == name)
      return row.member;
  return nullptr;
}

Result<std::vector<double>> compute(const ReferenceInput &input) {
  const KernelSpec &spec = input.spec;
  std::vector<int64_t> starts = input.starts;
  std::vector<int64_t> lengths = input.lengths;
  if (lengths.empty() && !input.packed) {
    starts.assign(static_cast<size_t>(input.batch), 0);
    lengths.assign(static_cast<size_t>(input.batch), input.length);
  }
  const int64_t rows = input.packed ? input.length : input.batch * input.length;
  std::vector<double> out(static_cast<size_t>(rows * input.queryHeads * spec.headDim), 0.0);
  const Indexing at{input};
  const std::optional<int64_t> longest = maximumLength(spec);
  for (size_t sequence = 0; sequence < lengths.size(); ++sequence) {
    const int64_t b = static_cast<int64_t>(sequence);
    const int64_t start = starts[sequence];
    const int64_t length = lengths[sequence];
    if (length == 0)
      continue;
    const int64_t segmentLen = segmentLength(spec, length);
    if (longest && length > *longest)
      return Error::mismatch(ErrorKind::InvalidShape, "q", expectedLength(*longest),
                             std::to_string(length));
    for (int64_t h = 0; h < input.queryHeads; ++h) {
      const int64_t keyHead = h / (input.queryHeads / input.keyHeads); // grouped queries
      const Head head{gather(input, input.q, b, h, input.queryHeads, start, length),
                      gather(input, input.k, b, keyHead, input.keyHeads, start, length),
                      gather(input, input.v, b, keyHead, input.keyHeads, start, length),
                      input.scale};
      Matrix result = layoutOf(head, input, segmentLen, b, h, keyHead);
      if (spec.convKernel > 0)
        addConvolution(result, head.v, input.conv + h * spec.convKernel, spec);
      for (int64_t t = 0; t < length; ++t)
        std::copy(result.row(t), result.row(t) + spec.headDim,
                  out.data() + at(b, h, input.queryHeads, start + t));
    }
  }
  return out;
}

} // namespace nysjit::reference
