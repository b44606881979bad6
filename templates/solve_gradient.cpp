// solve_gradient: the stabilized solve backwards. With kappa_g = a_g / (a_g^2 + lambda) and
// (I + D L) U = (1 - a kappa) pool + kappa BV, from the last block of landmarks to the first
//   Y_g = dU_g - sum over h > g of A_hg kappa_h Y_h
// A cell: a head, block_m landmarks at a time: whole blocks by dots, the block's own triangle by
// substitution. A source's values are known: of those the same sums are what dU_1 has by them.
#include "templates/landmark_gradients.h"

namespace nysjit {

Tile LandmarkWeights::of(const Tile &x) const {
  const Tile share = where(mass <= 0.0, 0.0, 1.0 / mass); // rows beyond the last have none
  Tile weight = exp2(min(x - along(maximum), 0.0)) * along(share);
  return counts ? min(weight * across(*counts), 1.0) : weight;
}

namespace {

/// Landmarks g0 on, columns of A.
struct SolveColumns {
  Kernel &k;
  const LandmarkRows &landmarks;
  const LandmarkGradientRows &gradients;
  int block;
  Tile key;
  std::optional<Tile> counts;

  SolveColumns(Kernel &kernel, const LandmarkRows &rows, const LandmarkGradientRows &of, int count,
               const Scalar &g0)
      : k(kernel), landmarks(rows), gradients(of), block(count), key(k.load(rows.key, g0, count)),
        counts(rows.counts(k, g0, count)) {}

  /// A_hg of rows h0 on, turned over: [g, h].
  Tile weights(const Scalar &h0) const {
    const Tile query = k.load(landmarks.query, h0, block);
    const Tile x = dot(key, transposed(query), DotPrecision::Full) * logitScale(k);
    return LandmarkWeights::ofColumns(k, landmarks, h0, block, counts).of(x);
  }
  /// sum over rows h of `range` of A_hg kappa_h Y_h
  Tile known(const Range &range) const {
    Tile sum = k.fill(block, landmarks.key.columns, 0);
    k.forRange(range, block, {&sum}, [&](Scalar h0) {
      const Tile y = k.load(gradients.value, h0, block);
      sum = dotAdd(sum, weights(h0) * cols(k.load(gradients.kappa, h0, block)), y,
                   DotPrecision::Full);
    });
    return sum;
  }
};

} // namespace

void writeSolveGradient(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const BlockConfig blocks =
      of.program.blocks("solve_gradient", {.blockM = 64}, {.isSubstitution = true});
  const int block = *blocks.blockM;
  auto body = [&](Kernel &k) {
    const auto [head, segments, rowsOfHead, gradients] = of.headOf(k, k.cell());
    const Scalar first = segments.firstTarget();
    const Scalar count = segments.count;
    const Scalar blocksOfTarget = ceilDiv(count - first, block);
    k.forRange({0, blocksOfTarget}, 1, {}, [&](Scalar turn) {
      const Scalar g0 = first + (blocksOfTarget - 1 - turn) * block;
      const SolveColumns columns(k, rowsOfHead, gradients, block, g0);
      const Tile known = columns.known({g0 + block, count});
      const Tile own = columns.weights(g0);
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
    if (!landmarks.segmentation.hasSource())
      return;
    const View source = k.slice(gradients.value, 0, segments.source);
    k.forRange({0, segments.source}, block, {}, [&](Scalar g0) {
      const SolveColumns columns(k, rowsOfHead, gradients, block, g0);
      k.store(k.load(source, g0, block) - columns.known({first, count}), source, g0);
    });
  };
  const Scalar heads = landmarks.attention.heads();
  of.program.kernel("solve_gradient", heads * min(landmarks.segmentation.capacity(), 1), body);
}

} // namespace nysjit
