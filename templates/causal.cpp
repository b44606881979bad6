// causal: strictly causal Nystrom attention. Near positions are exact, each far segment j is one
// landmark whose logit
//   l_j(q) = tau q.khat_j + c_j
// is the tangent, at the segment's mean query, of the logarithm of the segment's mass
// (landmark_weight tangent), or its tangent at q = 0 (count). Only complete segments make
// landmarks. All logits are base 2, c included. (Learned probes: causal_probes.cpp.)
//
// Kernels: segment_summary, (landmark_past,) landmark_target, landmark_solve (see landmarks.h;
// landmark_value streaming needs the first only), and
//   causal_output  a cell for block_m query rows: one softmax over near positions and far
//                  landmarks, block_n at a time
#include "templates/gradients.h"
#include "templates/probes.h"
#include "templates/templates.h"

namespace nysjit {

void causal(Program &program) {
  const KernelSpec &spec = program.spec();
  if (spec.landmarkSource == LandmarkSource::Learned)
    return causalOfProbes(program);
  const Attention attention(program);
  const Convolution convolution(program);
  const bool isTangent = spec.landmarkWeight == LandmarkWeight::Tangent;
  Landmarks landmarks(program, attention,
                      {.weight = isTangent ? Landmarks::Weight::Tangent : Landmarks::Weight::Count,
                       .isNystrom = spec.landmarkValue == LandmarkValue::Nystrom});
  const SavedRows saved(program, attention);
  const RowEnds ends(spec, attention, saved, convolution);
  attention.clearPadding(program);
  program.writeForward([&] { landmarks.writeKernels(); });

  const BlockConfig blocks =
      program.blocks("causal_output", {.blockM = 64, .blockN = 64},
                     {.mayHaveFewColumns = landmarks.mayBeFew(), .hasDiagonal = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const Segments segments = landmarks.segmentation.of(k, head);
    const QueryTile rows(k, head, i0, blockM, head.length);
    const NearAndFar seen(spec, segments, rows);
    OnlineSoftmax softmax(k, blockM, spec.headDim);
    seen.addTo(k, softmax, head, landmarks.target(k, head, segments), blockN);
    ends.store(k, softmax, head, i0);
  };
  program.writeForward([&] {
    writeRowTiles(program, "causal_output", attention, attention.maxLength, blockM,
                  RowOrder::LastRowFirst, body);
  });
  if (ends.isBackward)
    segmentsGradient(program, landmarks, saved, convolution);
}

} // namespace nysjit
