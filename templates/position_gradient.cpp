// Layouts over segments, backward. Kernels: the forward's (where the caller has not kept what they
// leave), output_delta, those of landmark_gradients.h, and
//   position_gradient         a cell for block_m positions of a key head, block_n columns an
//                             iteration: dq of its rows, then dk and dv
//   source_position_gradient, target_position_gradient
//                             the same of a source's positions and of a target's after them
#include "templates/landmark_gradients.h"
#include "templates/query_sums.h"

namespace nysjit {

namespace {

/// dq of a tile of rows that see landmarks, and near positions where there are some.
void storeQueryGradient(Kernel &k, const LandmarkGradients &of, const Head &head,
                        const SegmentsOfTile &at, const Scalar &i0, const BlockConfig &blocks) {
  const int blockN = *blocks.blockN;
  const Segments &segments = at.segments;
  const Scalar end = at.range().end;
  const GradientRows rows = of.gradients.rowsOf(k, head);
  const QueryTile queries(k, head, i0, *blocks.blockM, end);
  Tile dq = k.fill(*blocks.blockM, of.spec.headDim, 0);
  if (at.isSource()) {
    const Scalar seen = select(queries.isUsed, segments.source, 0);
    const Mask all = Mask::below(seen).allSee({0, seen});
    addFarQueryGradient(k, dq, of.landmarks.source(k, head, segments), rows, queries, all, seen,
                        blockN);
  } else if (of.hasNear()) {
    const NearAndFar seen(of.spec, segments, queries);
    addFarQueryGradient(k, dq, of.landmarks.target(k, head, segments), rows, queries, seen.far(),
                        seen.farEnd(queries.last), blockN);
    addNearQueryGradient(k, dq, head, rows, queries, seen.near(blockN), seen.positions(), blockN);
  } else {
    addFarQueryGradient(k, dq, of.landmarks.target(k, head, segments), rows, queries,
                        upToOwnSegment(segments, queries), upToOwnSegmentEnd(segments, queries),
                        blockN);
  }
  dq = addMeanQueryGradient(k, dq, of.rowsOf(k, head, segments), at, queries);
  k.store(dq * k.scale(), k.slice(rows.dq, 0, end), i0);
}

} // namespace

NearRows::NearRows(Kernel &k, const KernelSpec &spec, const SegmentRange &target, const Scalar &t0,
                   int count) {
  const Tile t = t0 + k.iota(count);
  auto endOf = [&](const auto &position) {
    const auto segment = (position - target.begin) / target.len + (spec.window + 1);
    return min(segment * target.len + target.begin, target.end);
  };
  const Scalar last = min(t0 + count, target.end) - 1;
  range = {t0, select(t0 < target.end, endOf(last), 0)};
  mask = Mask::below(endOf(t)).from(t).allSee({t0 + count - 1, endOf(t0)});
}

void writePositionGradient(const LandmarkGradients &of, RowPart part) {
  const Gradients &gradients = of.gradients;
  const Segmentation &segmentation = of.landmarks.segmentation;
  const std::string kernel = kernelOf(part, segmentation, "position_gradient");
  BlockConfig defaults{.blockM = 64, .blockN = 64};
  if (part == leadingPart(segmentation))
    defaults.fused = 0; // fusedPositionBlocks
  const BlockConfig blocks = of.program.blocks(
      kernel, defaults,
      {.hasDiagonal = part == RowPart::Target, .keepsMore = true, .keepsTwoSums = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  auto body = [&](Kernel &k, const Head &group, const Scalar &row0) {
    const SegmentsOfTile at{of.landmarks.segmentation.of(k, group), part};
    const SegmentRange range = at.range();
    const Scalar t0 = range.begin + row0;
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      storeQueryGradient(k, of, head.until(k, range.end), at, t0, blocks);
    });

    KeyGradient sums(k, group.until(k, range.end), t0, blockM);
    gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
      if (!at.isSource() && of.hasNear()) {
        const NearRows near(k, of.spec, range, t0, blockM);
        addNearKeyGradient(k, sums, head, gradients.rowsOf(k, head), near.mask, near.range, blockN);
      }
      if (of.hasPast(part))
        addPastKeyGradient(k, sums, of, head, at, t0, blockN);
      addOwnKeyGradient(k, sums, of, head, at, t0);
      sums.dv = gradients.addConvolution(k, sums.dv, head, t0);
    });
    sums.store(k, gradients, group, t0, range.end);
  };
  gradients.writePositions(kernel, blockM, body);
}

void segmentsGradient(Program &program, const Landmarks &landmarks, const SavedRows &saved,
                      const Convolution &convolution, int ahead) {
  const KernelSpec &spec = program.spec();
  Gradients gradients(program, landmarks.attention, saved, convolution, ahead);
  gradients.writeFirst();
  const int lead = spec.layout == Layout::SegmentCausal ? 0 : spec.window + 1;
  const Segmentation &segmentation = landmarks.segmentation;
  const std::optional<BlockConfig> fused = fusedPositionBlocks(program, segmentation);
  if (fused)
    gradients.allocateQuerySums();
  LandmarkGradients of(landmarks, gradients, lead, fused.has_value());
  of.writeKernels();
  if (fused)
    return writeFusedPositionGradients(of, *fused);
  if (segmentation.hasSource())
    writePositionGradient(of, RowPart::Source);
  if (segmentation.hasTarget())
    writePositionGradient(of, RowPart::Target);
}

} // namespace nysjit
