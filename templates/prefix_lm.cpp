// prefix_lm: the seq2seq block mask. n1 source positions (source_len, one a sequence, at run time)
// are seen by all, then the target is causal. Source rows are `bidirectional` over the source
// alone; target rows see their own segment up to themselves exactly, and all landmarks before it:
// the source's, valued U_1 = A+ (B V), and the target's (see landmarks.h).
//
// Kernels: segment_summary, (landmark_past,) source_past, source_inverse, landmark_target,
// landmark_solve, source_output, and
//   target_output  block_m target rows a program: one softmax over near positions and far
//                  landmarks, block_n at a time
#include "templates/landmarks.h"
#include "templates/templates.h"

namespace nysjit {

void prefixLm(Program &program) {
  const KernelSpec &spec = program.spec();
  Attention attention(program);
  const Convolution convolution(program, attention);
  const TensorRef sourceLengths = attention.addParts(program, "source_len");
  const bool isTangent = spec.landmarkWeight == LandmarkWeight::Tangent;
  Landmarks landmarks(program, attention,
                      {.weight = isTangent ? Landmarks::Weight::Tangent : Landmarks::Weight::Count,
                       .isNystrom = spec.landmarkValue == LandmarkValue::Nystrom,
                       .sourceLen = [&](Kernel &k, const Head &head) {
                         return min(max(k.loadInteger(k.view(sourceLengths, {}), head.sequence), 0),
                                    head.length);
                       }});
  attention.clearPadding(program);
  landmarks.summarize();
  landmarks.solve();
  writeSourceOutput(program, attention, landmarks, convolution, 0);

  const BlockConfig blocks = program.blocks("target_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = attention.heads();
  const Scalar rowTiles = ceilDiv(attention.maxLength, blockM);
  program.kernel("target_output", heads * rowTiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar row0 = (rowTiles - 1 - id / heads) * blockM; // counted from n1
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = landmarks.segmentsOf(k, head);
    const Scalar first = segments.sourceLen;
    const Scalar i0 = first + row0;
    const Scalar iLast = min(i0 + blockM, head.length) - 1;
    const Scalar isUsed = i0 < head.length;
    const Tile i = i0 + k.iota(blockM);
    const Tile query = k.load(head.query, i0, blockM);
    const Tile segment = (row0 + k.iota(blockM)) / segments.len;
    // Segment seg(i) of the target on is near; far are all landmarks of the source and those before
    // it.
    auto segmentOf = [&](const Scalar &position) { return (position - first) / segments.len; };
    auto farEnd = [&](const Scalar &position) {
      return (segments.source + segmentOf(position)) * isUsed;
    };
    const Range near{first + segmentOf(i0) * segments.len, (iLast + 1) * isUsed};

    OnlineSoftmax softmax(k, blockM, spec.headDim);
    addFar(k, softmax, landmarks.target(k, head, segments), query, segment + segments.source,
           farEnd(i0), farEnd(iLast), blockN);
    addNear(k, softmax, head, query, segment * segments.len + first, i, near,
            {first + segmentOf(iLast) * segments.len, i0 + 1}, blockN);
    k.store(convolution.addTo(k, softmax.result(), head, i0), head.output, i0);
  });
}

} // namespace nysjit
