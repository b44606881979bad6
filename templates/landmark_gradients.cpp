// The memory of landmarks' gradients, and the order of their kernels.
#include "templates/landmark_gradients.h"

namespace nysjit {

std::string kernelOf(RowPart part, const Segmentation &segmentation, const char *name) {
  if (part == RowPart::Source)
    return std::string("source_") + name;
  return (segmentation.hasSource() ? "target_" : "") + std::string(name);
}

LandmarkGradients::LandmarkGradients(const Landmarks &of, const Gradients &ofRows, int rowsLead,
                                     bool ofFused)
    : landmarks(of), gradients(ofRows), lead(rowsLead), program(of.program), spec(of.spec),
      isSolved(of.isSolved), isFused(ofFused) {
  const bool hasSource = landmarks.segmentation.hasSource();
  key = vectors("landmark_key_gradient");
  query = vectors("landmark_query_gradient");
  if (landmarks.segmentation.hasTarget()) {
    value = vectors("landmark_value_gradient");
    ownMean = numbers("segment_mean_gradient");
    bias = numbers("landmark_bias_gradient");
    pool = isSolved ? vectors("landmark_pool_gradient") : value;
  }
  if (isSolved) {
    diagonal = numbers("landmark_diagonal");
    rowMean = numbers("landmark_row_mean");
  }
  if (hasSource) {
    meanKey = isTangent() ? vectors("landmark_mean_key_gradient") : key;
    sourceValue = vectors("source_value_gradient");
  }
  if (hasPast()) {
    kappa = numbers("landmark_kappa");
    pastMean = numbers("landmark_past_mean");
    past = isSolved ? value : vectors("source_past_gradient");
  }
}

TensorRef LandmarkGradients::vectors(const char *name) const {
  return program.buffer(
      name, {landmarks.attention.heads(), landmarks.segmentation.capacity(), spec.headDim});
}

TensorRef LandmarkGradients::numbers(const char *name) const {
  return program.buffer(name, {landmarks.attention.heads(), landmarks.segmentation.capacity()});
}

LandmarksOfHead LandmarkGradients::headOf(Kernel &k, const Scalar &pair) const {
  const Head head = nysjit::headOf(k, landmarks.attention, pair);
  const Segments segments = landmarks.segmentation.of(k, head);
  return {head, segments, landmarks.target(k, head, segments), rowsOf(k, head, segments)};
}

LandmarkGradientRows LandmarkGradients::rowsOf(Kernel &k, const Head &head,
                                               const Segments &segments) const {
  auto below = [&](const Scalar &count, const TensorRef &tensor) {
    return tensor.name.empty() ? View() : landmarks.rowsOf(k, tensor, head, count);
  };
  auto rows = [&](const TensorRef &tensor) { return below(segments.count, tensor); };
  return {.key = rows(key),
          .bias = rows(bias),
          .value = rows(value),
          .query = rows(query),
          .pool = rows(pool),
          .kappa = below(pastCount(segments), kappa),
          .diagonal = rows(diagonal),
          .rowMean = rows(rowMean),
          .pastMean = below(pastCount(segments), pastMean),
          .ownMean = rows(ownMean),
          .meanKey = below(segments.source, meanKey),
          .sourceValue = below(segments.source, sourceValue),
          .past = below(pastCount(segments), past)};
}

void LandmarkGradients::writeKernels() {
  const bool hasSource = landmarks.segmentation.hasSource();
  const bool hasTarget = landmarks.segmentation.hasTarget();
  if (hasTarget)
    writeFarGradient(*this, RowPart::Target);
  if (hasSource)
    writeFarGradient(*this, RowPart::Source);
  if (isSolved) {
    writeSolveGradient(*this);
    writeWeightGradient(*this);
  }
  if (hasSource)
    writeInverseGradient(*this);
  if (hasTarget)
    writeSegmentGradient(*this);
  if (hasPast() && !isFused)
    writePastGradient(*this);
}

} // namespace nysjit
