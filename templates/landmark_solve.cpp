// The stabilized solve of the target's landmarks: A_gj = e^{l_j(qtilde_g)} / (sum over j' <= g), L
// its strictly lower part, a its diagonal, D = diag(a / (a^2 + lambda)):
//   (I + D L) U = pool + D (B V - a pool)
//   landmark_target  block_m landmarks of a head: the right side, and A's row masses
//   landmark_solve   a head: U, block_m landmarks at a time
#include "templates/landmarks.h"

namespace nysjit {

void writeLandmarkTarget(const Landmarks &landmarks) {
  const BlockConfig &blocks = landmarks.past.targetBlocks();
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = landmarks.attention.heads();
  const Scalar tiles = ceilDiv(landmarks.segmentation.capacity(), blockM);
  landmarks.program.kernel("landmark_target", heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, landmarks.attention, cell / tiles);
    const Segments segments = landmarks.segmentation.of(k, head);
    const LandmarkRows rowsOfHead = landmarks.target(k, head, segments);
    const Scalar g0 = segments.source + (tiles - 1 - cell % tiles) * blockM;
    const Scalar isUsed = g0 < segments.count;
    const Scalar last = min(g0 + blockM, segments.count);
    const Tile g = g0 + k.iota(blockM);

    OnlineSoftmax sums(k, blockM, landmarks.spec.headDim); // B V
    const Scalar end = select(isUsed, segments.pastEnd(last - 1), 0);
    landmarks.past.add(k, sums, head, segments, g0, blocks, end);

    // Of A only the rows' maxima, masses and diagonal logits are kept.
    const Tile query = k.load(rowsOfHead.query, g0, blockM);
    OnlineMass row(k, blockM);
    Tile own = k.fill(blockM, lowestMaximum);
    const Carry carry = {&row.maximum, &row.mass, &own};
    const Range all{0, select(isUsed, last, 0)};
    k.forTiles(all, Mask::upTo(g), blockN, carry, [&](Scalar j0, const TileMask &seen) {
      const Tile scores = rowsOfHead.logits(k, query, j0, blockN, {DotPrecision::Full, seen});
      const Tile logits = where(seen, scores, negativeInfinity);
      row.add(logits, rowsOfHead.counts(k, j0, blockN));
      const Tile isOwn = cols(j0 + k.iota(blockN)) == rows(g);
      own = max(own, rowMax(where(isOwn, logits, negativeInfinity)));
    });
    Tile a = exp2(own - row.maximum) / row.mass;
    if (const std::optional<Tile> counts = rowsOfHead.counts(k, g0, blockM))
      a = a * *counts;

    const Tile pool = k.load(rowsOfHead.pool, g0, blockM);
    const Tile gain = a / (a * a + landmarks.spec.stabilizer);
    k.store(row.maximum, rowsOfHead.rowMaximum, g0);
    k.store(row.mass, rowsOfHead.rowMass, g0);
    if (landmarks.isKept) {
      k.store(sums.maximum, landmarks.rowsOf(k, landmarks.pastMaximum, head, segments.count), g0);
      k.store(1.0 / sums.mass, landmarks.rowsOf(k, landmarks.pastShare, head, segments.count), g0);
    }
    k.store(pool + (sums.result() - pool * rows(a)) * rows(gain), rowsOfHead.value, g0);
  });
}

namespace {

/// Rows of A for landmarks g0 on, as the solve meets them.
struct SolveRows {
  Kernel &k;
  const LandmarkRows &landmarks;
  int block;
  Tile query;
  Tile maximum;
  Tile mass;

  /// A_gj for landmarks j0 on, at most 1: logits of 1e20 may be rounded otherwise than their
  /// maximum, and then are 1e13 apart.
  Tile weights(const Scalar &j0) const {
    const Tile x = landmarks.logits(k, query, j0, block, DotPrecision::Full);
    const Tile weight = exp2(min(x - rows(maximum), 0.0)) * rows(1.0 / mass);
    const std::optional<Tile> counts = landmarks.counts(k, j0, block);
    return counts ? min(weight * cols(*counts), 1.0) : weight;
  }
};

} // namespace

void writeLandmarkSolve(const Landmarks &landmarks) {
  const BlockConfig blocks =
      landmarks.program.blocks("landmark_solve", {.blockM = 64}, {.isSubstitution = true});
  const int block = *blocks.blockM;
  auto body = [&](Kernel &k) {
    const Head head = headOf(k, landmarks.attention, k.cell());
    const Segments segments = landmarks.segmentation.of(k, head);
    const LandmarkRows rowsOfHead = landmarks.target(k, head, segments);
    k.forRange({segments.source, segments.count}, block, {}, [&](Scalar g0) {
      const SolveRows a{k,
                        rowsOfHead,
                        block,
                        k.load(rowsOfHead.query, g0, block),
                        k.load(rowsOfHead.rowMaximum, g0, block),
                        k.load(rowsOfHead.rowMass, g0, block)};
      // U_g = right side - D_g sum over j < g of A_gj U_j: whole blocks by dots, the block's own
      // triangle by substitution
      Tile known = k.fill(block, landmarks.spec.headDim, 0);
      auto addKnown = [&](const Scalar &j0, const TileMask &seen) {
        const Tile weights = where(seen, a.weights(j0), 0.0);
        // No weight, not even 0, for what is not solved yet: it may overflow.
        const View &values = rowsOfHead.value;
        const View solved = seen.hidesNothing() ? values : k.slice(values, 0, g0);
        known = dotAdd(known, weights, k.load(solved, j0, block), DotPrecision::Full);
      };
      if (segments.hasSource)
        k.forTiles({0, g0}, Mask::below(g0).allSee({0, g0}), block, {&known}, addKnown);
      else // g0 is a multiple of the block
        k.forWholeTiles({0, g0}, block, {&known}, [&](Scalar j0) { addKnown(j0, TileMask()); });
      const Tile own = a.weights(g0);
      const Tile isDiagonal = cols(k.iota(block)) == rows(k.iota(block));
      const Tile diagonal = rowSum(where(isDiagonal, own, 0.0));
      const Tile gain = diagonal / (diagonal * diagonal + landmarks.spec.stabilizer);
      const Tile right = k.load(rowsOfHead.value, g0, block) - known * rows(gain);
      const Tile u = triangularSolve(Triangle::Lower, own * rows(gain), right);
      k.store(u, rowsOfHead.value, g0);
      k.sync();
    });
  };
  const Scalar heads = landmarks.attention.heads();
  landmarks.program.kernel("landmark_solve", heads * min(landmarks.segmentation.capacity(), 1),
                           body);
}

} // namespace nysjit
