// causal: strictly causal Nystrom attention. Near positions are exact, each far segment j is one
// landmark whose logit
//   l_j(q) = tau q.khat_j + c_j
// is the tangent, at the segment's mean query, of the logarithm of the segment's mass
// (landmark_weight tangent), or its tangent at q = 0 (count). Only complete segments make
// landmarks. All logits are base 2, c included.
//
// Kernels: segment_summary, (landmark_past,) landmark_target, landmark_solve (see landmarks.h;
// landmark_value streaming needs the first only), and
//   causal_output  block_m query rows a program: one softmax over near positions and far landmarks,
//                  block_n at a time
#include "templates/landmarks.h"
#include "templates/templates.h"

namespace nysjit {

void causal(Program &program) {
  const KernelSpec &spec = program.spec();
  const Attention attention(program);
  const Convolution convolution(program, attention);
  const bool isTangent = spec.landmarkWeight == LandmarkWeight::Tangent;
  Landmarks landmarks(program, attention,
                      {.weight = isTangent ? Landmarks::Weight::Tangent : Landmarks::Weight::Count,
                       .isNystrom = spec.landmarkValue == LandmarkValue::Nystrom});
  attention.clearPadding(program);
  landmarks.summarize();
  landmarks.solve();

  const BlockConfig blocks = program.blocks("causal_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = attention.heads();
  const Scalar rowTiles = ceilDiv(attention.maxLength, blockM);
  program.kernel("causal_output", heads * rowTiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar i0 = (rowTiles - 1 - id / heads) * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = landmarks.segmentsOf(k, head);
    const Scalar iLast = min(i0 + blockM, head.length) - 1;
    const Scalar isUsed = i0 < head.length;
    const Tile i = i0 + k.iota(blockM);
    const Tile query = k.load(head.query, i0, blockM);
    // far: landmarks j < seg(i) - window; near: from the first position of segment seg(i) - window
    // on
    auto farEnd = [&](Scalar position) {
      return max(position / segments.len - spec.window, 0) * isUsed;
    };
    const Tile farCount = max(i / segments.len - spec.window, 0);
    // A few near tiles at most are not worth an unmasked loop.
    const bool isShort =
        spec.segmentLen && int64_t(spec.window + 1) * *spec.segmentLen <= 2 * blockN;
    const Range inside = isShort ? Range{0, 0} : Range{farEnd(iLast) * segments.len, i0 + 1};

    OnlineSoftmax softmax(k, blockM, spec.headDim);
    addFar(k, softmax, landmarks.target(k, head, segments), query, farCount, farEnd(i0),
           farEnd(iLast), blockN);
    addNear(k, softmax, head, query, farCount * segments.len, i,
            {farEnd(i0) * segments.len, (iLast + 1) * isUsed}, inside, blockN);
    k.store(convolution.addTo(k, softmax.result(), head, i0), head.output, i0);
  });
}

} // namespace nysjit
