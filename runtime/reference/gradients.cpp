// Gradients of all heads and sequences: runs the layout's on each, adds the convolution's, and sums
// over the query heads of a key head, and over sequences what is given for all of them.
#include "runtime/reference/gradients.h"
#include "runtime/reference/accuracy.h"
#include "runtime/reference/convolution.h"
#include "runtime/reference/heads.h"
#include "runtime/reference/inverse_gradient.h"
#include "runtime/reference/layout_gradients.h"
#include "runtime/spec/layout_table.h"
#include "runtime/spec/lengths.h"

namespace nysjit::reference {

namespace {

HeadGradient gradientOf(const LayoutInput &input, const Matrix &dout) {
  switch (input.spec.layout) {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  case Layout::id: return function##Gradient(input, dout);
#include "runtime/spec/layouts.def"
  }
  return HeadGradient(input);
}

struct GradientRow {
  std::string_view name;
  std::vector<double> Gradients::*member;
};
constexpr GradientRow gradientRows[] = {{"dq", &Gradients::q},
                                        {"dk", &Gradients::k},
                                        {"dv", &Gradients::v},
                                        {"dlandmark_q", &Gradients::landmarkQ},
                                        {"dlandmark_k", &Gradients::landmarkK},
                                        {"dconv", &Gradients::conv}};

/// Zeros, of the size of each input there is.
Gradients zeros(const ReferenceInput &input) {
  const KernelSpec &spec = input.spec;
  const int64_t learned = learnedQueries(spec) * spec.headDim;
  Gradients result;
  result.q.resize(tensorSize(input, input.queryHeads));
  result.k.resize(tensorSize(input, input.keyHeads));
  result.v.resize(tensorSize(input, input.keyHeads));
  if (input.landmarkQ)
    result.landmarkQ.resize(size_t(input.queryHeads * learned));
  if (input.landmarkK)
    result.landmarkK.resize(size_t(input.keyHeads * learned));
  result.conv.resize(size_t(input.queryHeads * spec.convKernel));
  return result;
}

/// Adds a head's learned landmarks to those of all heads; nothing if it has none.
void addLearned(std::vector<double> &to, int64_t head, const Matrix &rows) {
  const int64_t size = rows.rows * rows.columns;
  if (size > 0)
    addTo(to.data() + head * size, 1, rows.row(0), size);
}

} // namespace

HeadGradient::HeadGradient(const LayoutInput &input)
    : q(input.head.length(), input.head.q.columns), k(q), v(q),
      learnedQ(input.learnedQ.rows, input.learnedQ.columns),
      learnedK(input.learnedK.rows, input.learnedK.columns) {}

std::vector<double> Gradients::*gradientTensor(std::string_view name) {
  for (const GradientRow &row : gradientRows)
    if (row.name == name)
      return row.member;
  return nullptr;
}

Result<Gradients> gradients(const ReferenceInput &input) {
  Gradients result = zeros(input);
  NYSJIT_RETURN_IF_ERROR(forEachHead(input, [&](const HeadPlace &place, const LayoutInput &of) {
    const Matrix dout = gather(input, input.dout, place, queryHead(input, place));
    HeadGradient head = gradientOf(of, dout);
    result.doutNorm = std::hypot(result.doutNorm, norm(dout.values));
    if (const int64_t first = place.queryHead * input.spec.convKernel; input.spec.convKernel > 0)
      addConvolutionGradient(dout, of.head.v, input.conv + first, input.spec, head.v,
                             result.conv.data() + first);
    addRows(head.q, input, place, queryHead(input, place), result.q);
    addRows(head.k, input, place, keyHead(input, place), result.k);
    addRows(head.v, input, place, keyHead(input, place), result.v);
    addLearned(result.landmarkQ, place.queryHead, head.learnedQ);
    addLearned(result.landmarkK, place.keyHead, head.learnedK);
  }));
  return result;
}

Result<Gradients> roundingOfInverse(const ReferenceInput &input) {
  Gradients result = zeros(input);
  if (!layoutRow(input.spec.layout).iteratesInverse)
    return result;
  NYSJIT_RETURN_IF_ERROR(forEachHead(input, [&](const HeadPlace &place, const LayoutInput &of) {
    const Matrix dout = gather(input, input.dout, place, queryHead(input, place));
    const HeadGradient head = roundingOfInverse(of, dout);
    addRows(head.q, input, place, queryHead(input, place), result.q);
    addRows(head.k, input, place, keyHead(input, place), result.k);
    addLearned(result.landmarkQ, place.queryHead, head.learnedQ);
    addLearned(result.landmarkK, place.keyHead, head.learnedK);
  }));
  return result;
}

} // namespace nysjit::reference
