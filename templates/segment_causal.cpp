// segment_causal: three triangular masks, O = F U with A U = B V by the stabilized solve. Query i
// sees landmarks j <= seg(i), landmark j landmarks j' <= j and positions of segments <= j. Causal
// between segments only: a landmark of a row's own segment knows the whole of it.
//
// Kernels: segment_summary, (landmark_past,) landmark_target, landmark_solve (see landmarks.h), and
//   segment_output  block_m query rows a program: F U, block_n landmarks at a time
#include "templates/landmarks.h"
#include "templates/templates.h"

namespace nysjit {

void segmentCausal(Program &program) {
  const Attention attention(program);
  const Convolution convolution(program, attention);
  Landmarks landmarks(program, attention, {.keepsShort = true});
  attention.clearPadding(program);
  landmarks.summarize();
  landmarks.solve();

  const BlockConfig blocks = program.blocks("segment_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM;
  const Scalar heads = attention.heads();
  const Scalar rowTiles = ceilDiv(attention.maxLength, blockM);
  program.kernel("segment_output", heads * rowTiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar i0 = (rowTiles - 1 - id / heads) * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = landmarks.segmentsOf(k, head);
    const Tile seen = (i0 + k.iota(blockM)) / segments.len + 1; // landmarks of row i
    OnlineSoftmax softmax(k, blockM, program.spec().headDim);
    addFar(k, softmax, landmarks.target(k, head, segments), k.load(head.query, i0, blockM), seen,
           i0 / segments.len + 1,
           min((i0 + blockM - 1) / segments.len + 1, segments.count) * (i0 < head.length),
           *blocks.blockN);
    k.store(convolution.addTo(k, softmax.result(), head, i0), head.output, i0);
  });
}

} // namespace nysjit
