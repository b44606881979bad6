// causal and segment_causal, backward. Kernels: the forward's (where the caller has not kept what
// they leave), output_delta, those of landmark_gradients.h, and
//   position_gradient  a cell for block_m positions of a key head, block_n columns an iteration: dq
//                      of its rows, then dk and dv
#include "templates/landmark_gradients.h"
#include "templates/query_sums.h"

namespace nysjit {

void causalGradient(Program &program, const Landmarks &landmarks, const SavedRows &saved,
                    const Convolution &convolution) {
  const Attention &attention = landmarks.attention;
  const KernelSpec &spec = program.spec();
  const Gradients gradients(program, attention, saved, convolution);
  gradients.writeFirst();
  LandmarkGradients of(landmarks, gradients, spec.window + 1);
  of.writeKernels();

  const BlockConfig blocks = program.blocks("position_gradient", {.blockM = 64, .blockN = 64},
                                            {.hasDiagonal = true, .keepsMore = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  auto body = [&](Kernel &k, const Head &group, const Scalar &t0) {
    const Segments segments = landmarks.segmentation.of(k, group);
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      const GradientRows rows = gradients.rowsOf(k, head);
      const QueryTile queries(k, head, t0, blockM, head.length);
      const NearAndFar seen(spec, segments, queries);
      Tile dq = k.fill(blockM, spec.headDim, 0);
      addFarQueryGradient(k, dq, landmarks.target(k, head, segments), rows, queries, seen.far(),
                          seen.farEnd(queries.last), blockN);
      addNearQueryGradient(k, dq, head, rows, queries, seen.near(blockN), seen.positions(), blockN);
      dq = addMeanQueryGradient(k, dq, of.rowsOf(k, head, segments), segments, queries);
      k.store(dq * k.scale(), rows.dq, t0);
    });

    KeyGradient sums(k, group, t0, blockM);
    // Rows i >= t up to the last whose window has t's segment.
    const Tile t = t0 + k.iota(blockM);
    auto endOf = [&](const auto &position) {
      return min((position / segments.len + (spec.window + 1)) * segments.len, group.length);
    };
    const Scalar last = min(t0 + blockM, group.length) - 1;
    const Range rows{t0, select(t0 < group.length, endOf(last), 0)};
    const Mask future = Mask::below(endOf(t)).from(t).allSee({t0 + blockM - 1, endOf(t0)});
    gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
      addNearKeyGradient(k, sums, head, gradients.rowsOf(k, head), future, rows, blockN);
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
