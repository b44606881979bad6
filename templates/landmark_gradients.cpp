// The memory of landmarks' gradients, and the order of their kernels.
#include "templates/landmark_gradients.h"

namespace nysjit {

LandmarkGradients::LandmarkGradients(const Landmarks &of, const Gradients &ofRows, int rowsLead)
    : landmarks(of), gradients(ofRows), lead(rowsLead), program(of.program), spec(of.spec),
      isSolved(of.isSolved) {
  key = vectors("landmark_key_gradient");
  value = vectors("landmark_value_gradient");
  query = vectors("landmark_query_gradient");
  ownMean = numbers("segment_mean_gradient");
  bias = numbers("landmark_bias_gradient");
  pool = isSolved ? vectors("landmark_pool_gradient") : value;
  if (!isSolved)
    return;
  kappa = numbers("landmark_kappa");
  diagonal = numbers("landmark_diagonal");
  rowMean = numbers("landmark_row_mean");
  pastMean = numbers("landmark_past_mean");
}

TensorRef LandmarkGradients::vectors(const char *name) const {
  return program.buffer(
      name, {landmarks.attention.heads(), landmarks.segmentation.capacity(), spec.headDim});
}

TensorRef LandmarkGradients::numbers(const char *name) const {
  return program.buffer(name, {landmarks.attention.heads(), landmarks.segmentation.capacity()});
}

LandmarkGradientRows LandmarkGradients::rowsOf(Kernel &k, const Head &head,
                                               const Segments &segments) const {
  auto rows = [&](const TensorRef &tensor) {
    return tensor.name.empty() ? View() : landmarks.rowsOf(k, tensor, head, segments.count);
  };
  return {rows(key),   rows(bias),     rows(value),   rows(query),    rows(pool),
          rows(kappa), rows(diagonal), rows(rowMean), rows(pastMean), rows(ownMean)};
}

void LandmarkGradients::writeKernels() {
  writeFarGradient(*this);
  if (isSolved) {
    writeSolveGradient(*this);
    writeWeightGradient(*this);
  }
  writeSegmentGradient(*this);
  if (isSolved)
    writePastGradient(*this);
}

} // namespace nysjit
