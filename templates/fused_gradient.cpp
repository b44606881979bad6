// Layouts over segments, backward, each weight computed once (config key fused). After
// far_gradient, which leaves the rows' sums over far landmarks in memory:
//   position_gradient  a cell walks `split` positions of a key head, in whole segments, block_m at
//                      a time, block_n columns an iteration: dk and dv; near positions' dX_it k_t
//                      go to the rows' sums, B's dX_gt k_t to sums of the part
//   past_gradient_sum  adds parts to dqtilde
//   query_gradient     a cell for block_m rows: dq = tau (sum + dqtilde / s)
// Without B dq is complete when its tile of positions is, and position_gradient stores it. Of a
// source they are source_position_gradient and so on, of a target after one
// target_position_gradient: a source's positions are in the past of the target's landmarks, too.
#include "templates/landmark_gradients.h"
#include "templates/query_sums.h"

namespace nysjit {

std::optional<BlockConfig> fusedPositionBlocks(Program &program, const Segmentation &segmentation) {
  const RowPart part = leadingPart(segmentation);
  const BlockConfig blocks =
      program.blocks(kernelOf(part, segmentation, "position_gradient"),
                     {.blockM = 64, .blockN = 64, .split = fusedSplit, .fused = 0},
                     {.hasDiagonal = part == RowPart::Target, .keepsMore = true});
  return blocks.fused.value_or(0) ? std::optional(blocks) : std::nullopt;
}

namespace {

class FusedPositions {
public:
  FusedPositions(const LandmarkGradients &gradients, RowPart rowPart, const BlockConfig &blocks,
                 int split)
      : of(gradients), rows(gradients.gradients), part(rowPart),
        hasPast(gradients.hasPast(rowPart)), blockM(*blocks.blockM), blockN(*blocks.blockN),
        split(split), parts(split ? ceilDiv(of.landmarks.attention.maxLength, split) : Scalar(1)) {}

  void write();
  /// Of all parts, as B's landmarks of one have positions of another in their past.
  void writeQueries() const;

private:
  /// Positions of a part: whole segments, as many as `split` asks for.
  Scalar lengthOfPart(const SegmentRange &range) const {
    return ceilDiv(split, range.len) * range.len;
  }
  Range partOf(const SegmentRange &range, const Scalar &number) const;
  /// Sums of dqtilde without tau.
  View queriesOf(Kernel &k, const Head &head, const Segments &segments,
                 const Scalar &number) const {
    const Scalar count = of.pastCount(segments);
    return split ? k.slice(k.view(queries, {head.pair, number}), 0, count)
                 : k.slice(of.rowsOf(k, head, segments).query, 0, count);
  }
  void addTile(Kernel &k, const Head &group, const SegmentsOfTile &at, const Scalar &number,
               const Scalar &t0, const Scalar &end) const;
  void addNear(Kernel &k, KeyGradient &sums, const Head &head, const SegmentsOfTile &at,
               const Scalar &t0, const Scalar &end) const;
  void storeQueries(Kernel &k, const Head &head, const SegmentsOfTile &at, const Scalar &i0,
                    const Scalar &end) const;
  std::string nameOf(const char *kernel) const {
    return kernelOf(part, of.landmarks.segmentation, kernel);
  }

  const LandmarkGradients &of;
  const Gradients &rows;
  const RowPart part;
  const bool hasPast;
  const int blockM;
  const int blockN;
  const int split;
  const Scalar parts;
  TensorRef queries; // of parts
};

Range FusedPositions::partOf(const SegmentRange &range, const Scalar &number) const {
  if (!split)
    return {range.begin, range.end};
  const Scalar length = lengthOfPart(range);
  const Scalar isThere = number < ceilDiv(max(range.end - range.begin, 0), length);
  const Scalar begin = range.begin + select(isThere, number * length, 0);
  return {begin, select(isThere, min(begin + length, range.end), begin)};
}

/// Near rows of the tile's positions. With a window they reach beyond the part: then the sums of
/// the tile's own rows are computed by themselves.
void FusedPositions::addNear(Kernel &k, KeyGradient &sums, const Head &head,
                             const SegmentsOfTile &at, const Scalar &t0, const Scalar &end) const {
  const SegmentRange range = at.range();
  const GradientRows ofRows = rows.rowsOf(k, head);
  const NearRows near(k, of.spec, range, t0, blockM);
  const QuerySums fused{k.slice(ofRows.querySum, 0, end), t0, [&](const Tile &i) {
                          const Tile segment = (i - range.begin) / range.len;
                          return Mask::rowsBelow(i + 1).from(segment * range.len + range.begin);
                        }};
  addNearKeyGradient(k, sums, head, ofRows, near.mask, near.range, blockN,
                     of.spec.window ? nullptr : &fused);
  if (!of.spec.window)
    return;
  const QueryTile queryTile(k, head, t0, blockM, end);
  const NearAndFar seen(of.spec, at.segments, queryTile);
  Tile dq = k.load(fused.sums, t0, blockM);
  addNearQueryGradient(k, dq, head, ofRows, queryTile, seen.near(blockN), seen.positions(), blockN);
  k.store(dq, fused.sums, t0);
}

void FusedPositions::addTile(Kernel &k, const Head &group, const SegmentsOfTile &at,
                             const Scalar &number, const Scalar &t0, const Scalar &end) const {
  Head ofPart = group; // positions of the next part count for nothing here
  ofPart.key = k.slice(group.key, 0, end);
  ofPart.value = k.slice(group.value, 0, end);
  KeyGradient sums(k, ofPart, t0, blockM);
  rows.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
    if (!at.isSource() && of.hasNear())
      addNear(k, sums, head, at, t0, end);
    if (hasPast) {
      const View queriesOfPart = queriesOf(k, head, at.segments, number);
      addPastKeyGradient(k, sums, of, head, at, t0, blockN, &queriesOfPart);
    }
    addOwnKeyGradient(k, sums, of, head, at, t0);
    sums.dv = rows.addConvolution(k, sums.dv, head, t0);
  });
  sums.store(k, rows, group, t0, end);
}

void FusedPositions::write() {
  const Attention &attention = of.landmarks.attention;
  const Scalar heads = attention.batch * attention.keyHeads;
  if (hasPast && split)
    queries = of.program.buffer(
        nameOf("past_query_gradient"),
        {attention.heads(), parts, of.landmarks.segmentation.capacity(), of.spec.headDim});
  of.program.kernel(nameOf("position_gradient"), heads * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head group = rows.groupOf(k, cell % heads);
    const SegmentsOfTile at{of.landmarks.segmentation.of(k, group), part};
    const Scalar number = cell / heads; // the first positions are in the past of the most
    const Range positions = partOf(at.range(), number);
    if (hasPast && split)
      rows.forQueryHeads(k, group, {}, [&](const Head &head) {
        const View sums = queriesOf(k, head, at.segments, number);
        k.forRange({0, of.pastCount(at.segments)}, blockN, {},
                   [&](Scalar g0) { k.store(k.fill(blockN, of.spec.headDim, 0), sums, g0); });
      });
    k.sync();
    k.forRange(positions, blockM, {}, [&](Scalar t0) {
      addTile(k, group, at, number, t0, positions.end);
      if (!hasPast)
        rows.forQueryHeads(k, group, {},
                           [&](const Head &head) { storeQueries(k, head, at, t0, positions.end); });
    });
  });
  if (hasPast && split)
    writePastSum(of, nameOf("past_gradient_sum"), queries, [&](const Segments &segments) {
      const SegmentRange range = SegmentsOfTile{segments, part}.range();
      return ceilDiv(max(range.end - range.begin, 0), lengthOfPart(range));
    });
}

/// dq = tau (the sum + dqtilde / s) for rows from i0 on, below `end`.
void FusedPositions::storeQueries(Kernel &k, const Head &head, const SegmentsOfTile &at,
                                  const Scalar &i0, const Scalar &end) const {
  const GradientRows ofRows = rows.rowsOf(k, head);
  const QueryTile tile(k, head, i0, blockM, end);
  const Tile sum = k.load(ofRows.querySum, i0, blockM);
  const Tile dq = addMeanQueryGradient(k, sum, of.rowsOf(k, head, at.segments), at, tile);
  k.store(dq * k.scale(), k.slice(ofRows.dq, 0, end), i0);
}

void FusedPositions::writeQueries() const {
  if (!hasPast)
    return;
  const Attention &attention = of.landmarks.attention;
  writeRowTiles(of.program, nameOf("query_gradient"), attention, attention.maxLength, blockM,
                RowOrder::FirstRowFirst, [&](Kernel &k, const Head &head, const Scalar &row0) {
                  const SegmentsOfTile at{of.landmarks.segmentation.of(k, head), part};
                  const SegmentRange range = at.range();
                  storeQueries(k, head, at, range.begin + row0, range.end);
                });
}

} // namespace

void writeFusedPositionGradients(const LandmarkGradients &of, const BlockConfig &blocks) {
  const Segmentation &segmentation = of.landmarks.segmentation;
  const int split = *blocks.split;
  std::vector<FusedPositions> parts;
  if (segmentation.hasSource() && segmentation.hasTarget()) {
    const BlockConfig ofSource =
        of.program.blocks(kernelOf(RowPart::Source, segmentation, "position_gradient"),
                          {.blockM = 64, .blockN = 64}, {.keepsMore = true});
    parts.emplace_back(of, RowPart::Source, ofSource, split);
  }
  parts.emplace_back(of, leadingPart(segmentation), blocks, split);
  for (FusedPositions &part : parts)
    part.write();
  for (const FusedPositions &part : parts)
    part.writeQueries();
}

} // namespace nysjit
