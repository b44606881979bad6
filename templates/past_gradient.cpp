// Through B = softmax over a landmark's past: B_gt = 2^(x_gt - L^B_g),
//   dX_gt = B_gt (kappa_g Y_g.v_t - D^B_g),  dqtilde_g += tau sum of dX_gt k_t
// past_gradient: a cell: block_m landmarks and `split` positions, block_n an iteration. With a
// split past_gradient_sum adds the parts in their order.
#include "templates/landmark_gradients.h"

namespace nysjit {

namespace {

/// dX of B's landmarks along one side of a tile of weights' logits x; `yv` is Y_g.v_t.
struct PastGradient {
  Tile weights; // kappa B
  Tile logits;
};

template <typename Spread>
PastGradient pastGradient(Kernel &k, const LandmarkGradients &of, const Head &head,
                          const Segments &segments, const Tile &x, const Tile &yv, const Scalar &g0,
                          int count, const TileMask &seen, Spread along) {
  const Landmarks &landmarks = of.landmarks;
  const LandmarkGradientRows gradients = of.rowsOf(k, head, segments);
  auto numbers = [&](const TensorRef &tensor) {
    return k.load(landmarks.rowsOf(k, tensor, head, of.pastCount(segments)), g0, count);
  };
  const Tile kappa = along(k.load(gradients.kappa, g0, count));
  const Tile mean = along(k.load(gradients.pastMean, g0, count));
  const Tile share = numbers(landmarks.pastShare);
  const Tile b = exp2(min(x - along(numbers(landmarks.pastMaximum)), 0.0));
  const Tile dX = b * along(sharesOfLogits(share)) * (yv * kappa - mean);
  return {where(seen, b * along(share) * kappa, 0.0), where(seen, dX, 0.0)};
}

void addPositions(Kernel &k, Tile &sum, const LandmarkGradients &of, const Head &head,
                  const Segments &segments, const Scalar &g0, int block, const Range &part) {
  const int count = sum.rows();
  const Tile query = k.load(of.landmarks.target(k, head, segments).query, g0, count);
  const Tile y = k.load(of.rowsOf(k, head, segments).past, g0, count);
  const Tile scale = logitScale(k);
  const Tile ends = segments.pastEnds(g0 + k.iota(count));
  const Mask past =
      Mask::below(min(ends, part.end)).allSee({part.begin, min(segments.pastEnd(g0), part.end)});
  k.forTiles(part, past, block, {&sum}, [&](Scalar t0, const TileMask &seen) {
    const Tile key = k.load(head.key, t0, block);
    const Tile x = dot(query, transposed(key), {DotPrecision::TwoTerms, seen}) * scale;
    const Tile yv = dot(y, transposed(k.load(head.value, t0, block)), seen);
    const Tile dX = pastGradient(k, of, head, segments, x, yv, g0, count, seen, [](const Tile &t) {
                      return rows(t);
                    }).logits;
    sum = dotAdd(sum, dX, key, DotOptions::zeroElsewhere(seen));
  });
}

} // namespace

void writePastGradient(const LandmarkGradients &of) {
  Program &program = of.program;
  const Attention &attention = of.landmarks.attention;
  const BlockConfig blocks =
      program.blocks("past_gradient", {.blockM = 32, .blockN = 64, .split = 0},
                     {.hasFewCells = true, .mayHaveFewRows = of.landmarks.mayBeFew()});
  const int blockM = *blocks.blockM;
  const int split = *blocks.split;
  const Scalar heads = attention.heads();
  const Scalar &capacity = of.landmarks.segmentation.capacity();
  const Scalar tiles = ceilDiv(capacity, blockM);
  const Scalar parts = split ? ceilDiv(attention.maxLength, split) : Scalar(1);
  TensorRef partial;
  if (split)
    partial = program.buffer("past_query_gradient", {heads, parts, capacity, of.spec.headDim});
  program.kernel("past_gradient", heads * tiles * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar rest = cell / heads;
    const Scalar g0 = (tiles - 1 - rest / parts) * blockM; // the longest first
    const Scalar part = rest % parts;
    const Scalar count = of.pastCount(segments);
    const Scalar pastEnd = select(g0 < count, segments.pastEnd(min(g0 + blockM, count) - 1), 0);
    const Scalar end = split ? min((part + 1) * split, pastEnd) : pastEnd;
    const View query = k.slice(of.rowsOf(k, head, segments).query, 0, count);
    Tile sum = split ? k.fill(blockM, of.spec.headDim, 0) : k.load(query, g0, blockM);
    addPositions(k, sum, of, head, segments, g0, *blocks.blockN, {part * split, end});
    k.store(sum, split ? k.slice(k.view(partial, {head.pair, part}), 0, count) : query, g0);
  });
  if (split)
    writePastSum(of, "past_gradient_sum", partial,
                 [&](const Segments &segments) { return ceilDiv(segments.length, split); });
}

void writePastSum(const LandmarkGradients &of, const std::string &kernel, const TensorRef &parts,
                  const std::function<Scalar(const Segments &)> &countOf) {
  const Attention &attention = of.landmarks.attention;
  const int block = 16;
  const Scalar heads = attention.heads();
  const Scalar &capacity = of.landmarks.segmentation.capacity();
  of.program.kernel(kernel, heads * ceilDiv(capacity, block), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar g0 = cell / heads * block;
    const Scalar count = of.pastCount(segments);
    const View query = k.slice(of.rowsOf(k, head, segments).query, 0, count);
    Tile sum = k.load(query, g0, block);
    k.forRange({0, countOf(segments)}, 1, {&sum}, [&](Scalar part) {
      const View rows = k.slice(k.view(parts, {head.pair, part}), 0, count);
      sum = sum + k.load(rows, g0, block);
    });
    k.store(sum, query, g0);
  });
}

/// dk_t += tau sum over g of dX_gt qtilde_g and dv_t += sum of kappa_g B_gt Y_g, over the landmarks
/// whose past has t: a source's position all, a target's those from its own segment's on.
void addPastKeyGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &of, const Head &head,
                        const SegmentsOfTile &at, const Scalar &t0, int block,
                        const View *querySums) {
  const int count = sums.dk.rows();
  const LandmarkGradientRows gradients = of.rowsOf(k, head, at.segments);
  const Scalar end = of.pastCount(at.segments);
  const View queries = of.landmarks.rowsOf(k, of.landmarks.query, head, end);
  const Tile scale = logitScale(k);
  const SegmentRange range = at.range();
  Range landmarks{0, select(t0 < range.end, end, 0)};
  Mask later = Mask::below(end);
  // All positions of the tile are in the past of the same landmarks.
  const bool isWhole = at.isSource() || (querySums && of.isOneSegment(count));
  if (!at.isSource())
    landmarks.begin = range.of(t0);
  if (isWhole) {
    later = later.allSee(landmarks);
  } else {
    later = later.from(range.of(t0 + k.iota(count))).allSee({range.of(t0 + (count - 1)), end});
  }
  k.forTiles(landmarks, later, block, sums.carry(), [&](Scalar g0, const TileMask &seen) {
    const Tile query = k.load(queries, g0, block);
    const Tile y = k.load(gradients.past, g0, block);
    const Tile x = dot(sums.key, transposed(query), {DotPrecision::TwoTerms, seen}) * scale;
    const Tile yv = dot(sums.value, transposed(y), seen);
    const PastGradient gradient = pastGradient(k, of, head, at.segments, x, yv, g0, block, seen,
                                               [](const Tile &t) { return cols(t); });
    const DotOptions zeros = DotOptions::zeroElsewhere(seen);
    sums.dv = dotAdd(sums.dv, gradient.weights, y, zeros);
    sums.dk = dotAdd(sums.dk, gradient.logits, query, zeros);
    if (!querySums)
      return;
    DotOptions ofLandmarks;
    if (!seen.hidesNothing()) {
      ofLandmarks.readWhere = TileMask(Mask::rowsBelow(end), g0);
      if (!isWhole)
        ofLandmarks.nonzeroWhere =
            TileMask(Mask::rowsBelow(at.segments.pastEnds(g0 + k.iota(block))), t0);
    }
    addInMemory(k, k.slice(*querySums, 0, end), g0, transposed(gradient.logits), sums.key,
                ofLandmarks);
  });
}

} // namespace nysjit
