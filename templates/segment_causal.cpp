// segment_causal: three triangular masks, O = F U with A U = B V by the stabilized solve. Query i
// sees landmarks j <= seg(i), landmark j landmarks j' <= j and positions of segments <= j. Causal
// between segments only: a landmark of a row's own segment knows the whole of it.
//
// Kernels: segment_summary, (landmark_past,) landmark_target, landmark_solve (see landmarks.h), and
//   segment_output  a cell for block_m query rows: F U, block_n landmarks at a time
#include "templates/gradients.h"
#include "templates/query_sums.h"
#include "templates/templates.h"

namespace nysjit {

void segmentCausal(Program &program) {
  const Attention attention(program);
  const Convolution convolution(program);
  Landmarks landmarks(program, attention, {.segments = {.keepsShort = true}});
  const SavedRows saved(program, attention);
  const RowEnds ends(program.spec(), attention, saved, convolution);
  attention.clearPadding(program);
  program.writeForward([&] { landmarks.writeKernels(); });

  const BlockConfig blocks = program.blocks("segment_output", {.blockM = 64, .blockN = 64},
                                            {.mayHaveFewColumns = landmarks.mayBeFew()});
  const int blockM = *blocks.blockM;
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const Segments segments = landmarks.segmentation.of(k, head);
    const QueryTile rows(k, head, i0, blockM, head.length);
    OnlineSoftmax softmax(k, blockM, program.spec().headDim);
    addFar(k, softmax, landmarks.target(k, head, segments), rows.query,
           upToOwnSegment(segments, rows), upToOwnSegmentEnd(segments, rows), *blocks.blockN);
    ends.store(k, softmax, head, i0);
  };
  program.writeForward([&] {
    writeRowTiles(program, "segment_output", attention, attention.maxLength, blockM,
                  RowOrder::LastRowFirst, body);
  });
  if (ends.isBackward)
    segmentsGradient(program, landmarks, saved, convolution);
}

} // namespace nysjit
