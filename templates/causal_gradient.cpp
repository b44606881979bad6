// causal and segment_causal, backward. Kernels: the forward's (where the caller has not kept what
// they leave), output_delta, those of landmark_gradients.h, and
//   position_gradient  a cell for block_m positions of a key head, block_n columns an iteration: dq
//                      of its rows, then dk and dv
#include "templates/landmark_gradients.h"
#include "templates/query_sums.h"

namespace nysjit {

namespace {

/// dq of a tile of rows that see landmarks, and near positions where there are some.
void storeQueryGradient(Kernel &k, const LandmarkGradients &of, const Head &head,
                        const Segments &segments, const Scalar &i0, const BlockConfig &blocks) {
  const int blockN = *blocks.blockN;
  const GradientRows rows = of.gradients.rowsOf(k, head);
  const LandmarkRows landmarks = of.landmarks.target(k, head, segments);
  const QueryTile queries(k, head, i0, *blocks.blockM, head.length);
  Tile dq = k.fill(*blocks.blockM, of.spec.headDim, 0);
  if (of.hasNear()) {
    const NearAndFar seen(of.spec, segments, queries);
    addFarQueryGradient(k, dq, landmarks, rows, queries, seen.far(), seen.farEnd(queries.last),
                        blockN);
    addNearQueryGradient(k, dq, head, rows, queries, seen.near(blockN), seen.positions(), blockN);
  } else {
    addFarQueryGradient(k, dq, landmarks, rows, queries, upToOwnSegment(segments, queries),
                        upToOwnSegmentEnd(segments, queries), blockN);
  }
  dq = addMeanQueryGradient(k, dq, of.rowsOf(k, head, segments), segments, queries);
  k.store(dq * k.scale(), rows.dq, i0);
}

/// Rows that see a position of the tile from t0 on as a near one: i >= t up to the last whose
/// window has t's segment.
struct NearRows {
  Mask mask;
  Range range;

  NearRows(Kernel &k, const KernelSpec &spec, const Segments &segments, const Head &head,
           const Scalar &t0, int count) {
    const Tile t = t0 + k.iota(count);
    auto endOf = [&](const auto &position) {
      return min((position / segments.len + (spec.window + 1)) * segments.len, head.length);
    };
    const Scalar last = min(t0 + count, head.length) - 1;
    range = {t0, select(t0 < head.length, endOf(last), 0)};
    mask = Mask::below(endOf(t)).from(t).allSee({t0 + count - 1, endOf(t0)});
  }
};

} // namespace

void causalGradient(Program &program, const Landmarks &landmarks, const SavedRows &saved,
                    const Convolution &convolution) {
  const KernelSpec &spec = program.spec();
  const Gradients gradients(program, landmarks.attention, saved, convolution);
  gradients.writeFirst();
  LandmarkGradients of(landmarks, gradients, spec.layout == Layout::Causal ? spec.window + 1 : 0);
  of.writeKernels();

  const BlockConfig blocks = program.blocks("position_gradient", {.blockM = 64, .blockN = 64},
                                            {.hasDiagonal = true, .keepsMore = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  auto body = [&](Kernel &k, const Head &group, const Scalar &t0) {
    const Segments segments = landmarks.segmentation.of(k, group);
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      storeQueryGradient(k, of, head, segments, t0, blocks);
    });

    KeyGradient sums(k, group, t0, blockM);
    gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
      if (of.hasNear()) {
        const NearRows near(k, spec, segments, head, t0, blockM);
        addNearKeyGradient(k, sums, head, gradients.rowsOf(k, head), near.mask, near.range, blockN);
      }
      if (of.isSolved)
        addPastKeyGradient(k, sums, of, head, segments, t0, blockN);
      addOwnKeyGradient(k, sums, of, head, segments, t0);
      sums.dv = gradients.addConvolution(k, sums.dv, head, t0);
    });
    sums.store(k, gradients, group, t0);
  };
  gradients.writePositions("position_gradient", blockM, body);
}

} // namespace nysjit
