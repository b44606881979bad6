// prefix_lm: the seq2seq block mask. n1 source positions (source_len, one a sequence, at run time)
// are seen by all, then the target is causal. Source rows are `bidirectional` over the source
// alone; target rows see their own segment up to themselves exactly, and all landmarks before it:
// the source's, valued U_1 = A+ (B V), and the target's (see landmarks.h).
//
// Kernels: segment_summary, (landmark_past,) source_past, source_inverse, landmark_target,
// landmark_solve, source_output, and
//   target_output  a cell for block_m target rows: one softmax over near positions and far
//                  landmarks, block_n at a time
#include "templates/gradients.h"
#include "templates/query_sums.h"
#include "templates/templates.h"

namespace nysjit {

void prefixLm(Program &program) {
  const KernelSpec &spec = program.spec();
  Attention attention(program);
  const Convolution convolution(program);
  const TensorRef sourceLengths = attention.addSourceLengths(program, "source_len");
  auto sourceLen = [&](Kernel &k, const Head &head) {
    const Scalar given = k.loadInteger(k.view(sourceLengths, {}), head.sequence);
    return min(max(given, 0), head.length);
  };
  const bool isTangent = spec.landmarkWeight == LandmarkWeight::Tangent;
  Landmarks landmarks(program, attention,
                      {.weight = isTangent ? Landmarks::Weight::Tangent : Landmarks::Weight::Count,
                       .isNystrom = spec.landmarkValue == LandmarkValue::Nystrom,
                       .segments = {.sourceLen = sourceLen}});
  const SavedRows saved(program, attention);
  const RowEnds ends(spec, attention, saved, convolution);
  attention.clearPadding(program);
  program.writeForward([&] {
    landmarks.writeKernels();
    writeSourceOutput(landmarks, saved, convolution, 0);
  });

  const BlockConfig blocks =
      program.blocks("target_output", {.blockM = 64, .blockN = 64},
                     {.mayHaveFewColumns = landmarks.mayBeFew(), .hasDiagonal = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  auto body = [&](Kernel &k, const Head &head, const Scalar &row0) { // counted from n1
    const Segments segments = landmarks.segmentation.of(k, head);
    const Scalar i0 = segments.sourceLen + row0;
    const QueryTile rows(k, head, i0, blockM, head.length);
    const NearAndFar seen(spec, segments, rows);
    OnlineSoftmax softmax(k, blockM, spec.headDim);
    seen.addTo(k, softmax, head, landmarks.target(k, head, segments), blockN);
    ends.store(k, softmax, head, i0);
  };
  program.writeForward([&] {
    writeRowTiles(program, "target_output", attention, attention.maxLength, blockM,
                  RowOrder::LastRowFirst, body);
  });
  if (ends.isBackward)
    segmentsGradient(program, landmarks, saved, convolution);
}

} // namespace nysjit
