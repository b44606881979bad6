// The source's landmarks, seen by all of the source and solved by the iterated inverse:
//   source_past     block_m landmarks of a head: B V
//   source_inverse  a head: A+, then U = A+ (B V)
//   source_output   block_m rows of a head: F U
#include "templates/gradients.h"
#include "templates/inverse.h"
#include "templates/query_sums.h"

namespace nysjit {

void writeSourcePast(const Landmarks &landmarks) {
  const BlockConfig &blocks = landmarks.past.sourceBlocks();
  const int blockM = *blocks.blockM;
  const Scalar heads = landmarks.attention.heads();
  auto body = [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar g0 = cell / heads * blockM;
    const Head head = headOf(k, landmarks.attention, cell % heads);
    const Segments segments = landmarks.segmentation.of(k, head);
    const Scalar end = select(g0 < segments.source, segments.sourceLen, 0);
    OnlineSoftmax sums(k, blockM, landmarks.spec.headDim);
    landmarks.past.add(k, sums, head, segments, g0, blocks, end);
    const View past = landmarks.rowsOf(k, landmarks.sourcePastValue, head, segments.source);
    k.store(sums.result(), past, g0);
    if (landmarks.isKept) {
      const auto rowsOf = [&](const TensorRef &tensor) {
        return landmarks.rowsOf(k, tensor, head, segments.source);
      };
      k.store(sums.maximum, rowsOf(landmarks.pastMaximum), g0);
      k.store(1.0 / sums.mass, rowsOf(landmarks.pastShare), g0);
    }
  };
  const Scalar tiles = ceilDiv(landmarks.segmentation.capacity(), blockM);
  landmarks.program.kernel("source_past", heads * tiles, body);
}

void writeSourceInverse(const Landmarks &landmarks) {
  const BlockConfig blocks = inverseBlocks(landmarks.program, "source_inverse",
                                           landmarks.spec.landmarks, landmarks.mayBeFew());
  const int block = *blocks.blockM;
  const Scalar heads = landmarks.attention.heads();
  const Scalar &capacity = landmarks.segmentation.capacity();
  const InverseWorkspace inverse(landmarks.program, heads, capacity, block, block);
  landmarks.program.kernel("source_inverse", heads * min(capacity, 1), [&](Kernel &k) {
    const Head head = headOf(k, landmarks.attention, k.cell());
    const Segments segments = landmarks.segmentation.of(k, head);
    const LandmarkRows rows = landmarks.source(k, head, segments);
    const View inverted = inverse.invert(k, head.pair, rows.query, rows.key, segments.source);
    const View past = landmarks.rowsOf(k, landmarks.sourcePastValue, head, segments.source);
    k.forRange({0, segments.source}, block, {}, [&](Scalar g0) { // U = A+ (B V)
      Tile u = k.fill(block, landmarks.spec.headDim, 0);
      k.forRange({0, segments.source}, block, {&u}, [&](Scalar j0) {
        const Tile a = k.load(k.columns(inverted, j0, block), g0, block);
        u = dotAdd(u, a, k.load(past, j0, block), DotPrecision::Full);
      });
      k.store(u, rows.value, g0);
    });
  });
}

void writeSourceOutput(const Landmarks &landmarks, const SavedRows &saved,
                       const Convolution &convolution, int ahead) {
  const RowEnds ends(landmarks.spec, landmarks.attention, saved, convolution, ahead);
  const BlockConfig blocks = landmarks.program.blocks("source_output", {.blockM = 64, .blockN = 64},
                                                      {.mayHaveFewColumns = landmarks.mayBeFew()});
  const int blockM = *blocks.blockM;
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const Segments segments = landmarks.segmentation.of(k, head);
    const QueryTile rows(k, head, i0, blockM, segments.sourceLen);
    const LandmarkRows source = landmarks.source(k, head, segments);
    const Scalar seen = select(rows.isUsed, segments.source, 0);
    const Mask all = Mask::below(k.fill(blockM, segments.source)).allSee({0, seen});
    OnlineSoftmax softmax(k, blockM, landmarks.spec.headDim);
    addFar(k, softmax, source, rows.query, all, seen, *blocks.blockN);
    Head written = head; // its source alone
    written.output = k.slice(head.output, 0, segments.sourceLen);
    written.length = segments.sourceLen;
    ends.store(k, softmax, written, i0);
  };
  writeRowTiles(landmarks.program, "source_output", landmarks.attention,
                landmarks.attention.maxLength, blockM, RowOrder::FirstRowFirst, body);
}

} // namespace nysjit
