// solve_gradient: the stabilized solve backwards. With kappa_g = a_g / (a_g^2 + lambda) and
// (I + D L) U = (1 - a kappa) pool + kappa BV, from the last block of landmarks to the first
//   Y_g = dU_g - sum over h > g of A_hg kappa_h Y_h
// A cell: a head, block_m landmarks at a time: whole blocks by dots, the block's own triangle by
// substitution.
#include "templates/landmark_gradients.h"

namespace nysjit {

Tile LandmarkWeights::of(const Tile &x) const {
  const Tile share = where(mass <= 0.0, 0.0, 1.0 / mass); // rows beyond the last have none
  Tile weight = exp2(min(x - along(maximum), 0.0)) * along(share);
  return counts ? min(weight * across(*counts), 1.0) : weight;
}

void writeSolveGradient(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const BlockConfig blocks =
      of.program.blocks("solve_gradient", {.blockM = 64}, {.isSubstitution = true});
  const int block = *blocks.blockM;
  auto body = [&](Kernel &k) {
    const Head head = headOf(k, landmarks.attention, k.cell());
    const Segments segments = landmarks.segmentation.of(k, head);
    const LandmarkRows rowsOfHead = landmarks.target(k, head, segments);
    const LandmarkGradientRows gradients = of.rowsOf(k, head, segments);
    const Scalar count = segments.count;
    const Scalar blocksOfHead = ceilDiv(count, block);
    k.forRange({0, blocksOfHead}, 1, {}, [&](Scalar turn) {
      const Scalar g0 = (blocksOfHead - 1 - turn) * block;
      const Tile key = k.load(rowsOfHead.key, g0, block);
      const std::optional<Tile> counts = rowsOfHead.counts(k, g0, block);
      // A_hg of rows h0 on, turned over: [g, h].
      auto weights = [&](const Scalar &h0) {
        const Tile x =
            dot(key, transposed(k.load(rowsOfHead.query, h0, block)), DotPrecision::Full);
        return LandmarkWeights::ofColumns(k, rowsOfHead, h0, block, counts).of(x * logitScale(k));
      };
      Tile known = k.fill(block, of.spec.headDim, 0);
      k.forRange({g0 + block, count}, block, {&known}, [&](Scalar h0) {
        const Tile y = k.load(gradients.value, h0, block);
        known = dotAdd(known, weights(h0) * cols(k.load(gradients.kappa, h0, block)), y,
                       DotPrecision::Full);
      });
      const Tile own = weights(g0);
      const Tile isDiagonal = cols(k.iota(block)) == rows(k.iota(block));
      const Tile diagonal = columnSum(where(isDiagonal, own, 0.0));
      // Finite also without a stabilizer, and where there is no landmark.
      const Tile kappa =
          where(diagonal <= 0.0, 0.0, diagonal / (diagonal * diagonal + of.spec.stabilizer));
      const Tile right = k.load(gradients.value, g0, block) - known;
      const Tile y = triangularSolve(Triangle::Upper, own * cols(kappa), right);
      k.store(y, gradients.value, g0);
      k.store(kappa, gradients.kappa, g0);
      k.store(diagonal, gradients.diagonal, g0);
      k.sync();
    });
  };
  const Scalar heads = landmarks.attention.heads();
  of.program.kernel("solve_gradient", heads * min(landmarks.segmentation.capacity(), 1), body);
}

} // namespace nysjit
