// Gradients of exact_causal, causal and segment_causal in float64.
#include "runtime/reference/softmax_gradient.h"
#include "runtime/reference/target_gradient.h"

#include <algorithm>

namespace nysjit::reference {

HeadGradient exactCausalGradient(const LayoutInput &input, const Matrix &dout) {
  const Head &head = input.head;
  HeadGradient out(input);
  for (int64_t i = 0; i < head.length(); ++i)
    addRowGradient(head.q.row(i), dout.row(i), head.scale,
                   {{head.k, head.v, out.k, out.v, 0, i + 1}}, out.q.row(i));
  return out;
}

HeadGradient causalGradient(const LayoutInput &input, const Matrix &dout) {
  const KernelSpec &spec = input.spec;
  if (spec.landmarkSource == LandmarkSource::Learned)
    return causalOfProbesGradient(input, dout);
  const int64_t segmentLen = input.segmentLen;
  HeadGradient out(input);
  const Landmarks landmarks = makeLandmarks(input.head, 0, input.head.length(), segmentLen,
                                            /*keepShort=*/false, spec.landmarkWeight);
  const auto borders = [&](int64_t i) {
    const int64_t farCount = std::max<int64_t>(i / segmentLen - spec.window, 0);
    return RowBorders{farCount, farCount * segmentLen};
  };
  addTargetGradient(input, {0, landmarks, spec.landmarkWeight, Matrix(), borders}, dout, out);
  return out;
}

HeadGradient segmentCausalGradient(const LayoutInput &input, const Matrix &dout) {
  const int64_t segmentLen = input.segmentLen;
  HeadGradient out(input);
  // Plain scores: khat is the mean key and there is no c.
  Landmarks landmarks = makeLandmarks(input.head, 0, input.head.length(), segmentLen,
                                      /*keepShort=*/true, LandmarkWeight::Count);
  std::fill(landmarks.c.begin(), landmarks.c.end(), 0.0);
  const auto borders = [&](int64_t i) { return RowBorders{i / segmentLen + 1, i + 1}; };
  addTargetGradient(input, {0, landmarks, LandmarkWeight::Count, Matrix(), borders}, dout, out);
  return out;
}

} // namespace nysjit::reference
