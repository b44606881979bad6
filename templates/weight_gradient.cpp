// Through A = softmax of the landmarks' logits among themselves, and D(a). With
//   moved_g = Y_g.(U_g - pool_g),  own_g = Y_g.pool_g,
//   r_g = kappa_g sum over j < g of A_gj Y_g.U_j
//   a da = (lambda - a^2) / (a^2 + lambda) moved - a kappa own
//   D^A = a da - r,  D^B = dBV.BV = moved + a kappa own + r,  dpool = lambda / (a^2 + lambda) Y
//   dX_gj = -A_gj (kappa_g Y_g.U_j + D^A_g) for j < g,  a da - a D^A_g for j = g
//   weight_rows     a cell: block_m landmarks g: dpool, D^A, D^B and sum of dX_gj khat_j to dqtilde
//   weight_columns  a cell: block_m landmarks j: adds sum of dX_gj qtilde_g to G, of dX_gj to dc
#include "templates/landmark_gradients.h"

namespace nysjit {

namespace {

/// dX of landmarks [j, g] or [g, j]; `yu` is Y_g.U_j, `value` of the diagonal's elements. What lies
/// along g is spread by `along`.
template <typename Spread>
Tile logitGradient(const Tile &weights, const Tile &yu, const Tile &kappa, const Tile &rowMean,
                   const Tile &ofDiagonal, const Tile &isBelow, const Tile &isDiagonal,
                   Spread along) {
  const Tile below = -1.0 * (weights * (yu * along(kappa) + along(rowMean)));
  return where(isBelow, below, where(isDiagonal, along(ofDiagonal), 0.0));
}

void writeRows(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const BlockConfig blocks =
      of.program.blocks("weight_rows", {.blockM = 32, .blockN = 32},
                        {.hasFewCells = true, .mayHaveFewRows = landmarks.mayBeFew()});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const double lambda = of.spec.stabilizer;
  const Scalar heads = landmarks.attention.heads();
  const Scalar tiles = ceilDiv(landmarks.segmentation.capacity(), blockM);
  of.program.kernel("weight_rows", heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const auto [head, segments, rowsOfHead, gradients] = of.headOf(k, cell % heads);
    // The last have the most columns.
    const Scalar g0 = segments.firstTarget() + (tiles - 1 - cell / heads) * blockM;
    const Scalar end = select(g0 < segments.count, min(g0 + blockM, segments.count), 0);
    const Tile g = g0 + k.iota(blockM);
    const Tile query = k.load(rowsOfHead.query, g0, blockM);
    const Tile y = k.load(gradients.value, g0, blockM);
    const Tile kappa = k.load(gradients.kappa, g0, blockM);
    const Tile a = k.load(gradients.diagonal, g0, blockM);
    auto weights = [&](const Scalar &j0) {
      const Tile x = rowsOfHead.logits(k, query, j0, blockN, DotPrecision::Full);
      return LandmarkWeights::ofRows(k, rowsOfHead, g0, blockM, rowsOfHead.counts(k, j0, blockN))
          .of(x);
    };
    auto valuesOf = [&](const Scalar &j0) {
      return dot(y, transposed(k.load(rowsOfHead.value, j0, blockN)), DotPrecision::Full);
    };
    Tile rest = k.fill(blockM, 0.0);
    k.forRange({0, end}, blockN, {&rest}, [&](Scalar j0) {
      const Tile isBelow = cols(j0 + k.iota(blockN)) < rows(g);
      rest = rest + rowSum(where(isBelow, weights(j0) * valuesOf(j0), 0.0));
    });
    rest = rest * kappa;
    const Tile pool = k.load(rowsOfHead.pool, g0, blockM);
    const Tile moved = rowSum(y * (k.load(rowsOfHead.value, g0, blockM) - pool));
    const Tile ofPool = a * kappa * rowSum(y * pool);
    const Tile square = a * a;
    const Tile aDa = (lambda - square) / (square + lambda) * moved - ofPool;
    const Tile rowMean = aDa - rest;
    const Tile ofDiagonal = aDa - a * rowMean;
    k.store(rowMean, gradients.rowMean, g0);
    k.store(ofDiagonal, gradients.diagonal, g0);
    k.store(moved + ofPool + rest, gradients.pastMean, g0);
    k.store(y * rows(lambda / (square + lambda)), gradients.pool, g0);
    Tile dQuery = k.fill(blockM, of.spec.headDim, 0);
    k.forRange({0, end}, blockN, {&dQuery}, [&](Scalar j0) {
      const Tile column = cols(j0 + k.iota(blockN));
      const Tile dX =
          logitGradient(weights(j0), valuesOf(j0), kappa, rowMean, ofDiagonal, column < rows(g),
                        column == rows(g), [](const Tile &x) { return rows(x); });
      dQuery = dotAdd(dQuery, dX, k.load(rowsOfHead.key, j0, blockN), DotPrecision::Full);
    });
    k.store(dQuery, gradients.query, g0);
  });
}

void writeColumns(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const BlockConfig blocks =
      of.program.blocks("weight_columns", {.blockM = 32, .blockN = 32},
                        {.hasFewCells = true, .mayHaveFewRows = landmarks.mayBeFew()});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = landmarks.attention.heads();
  const Scalar tiles = ceilDiv(landmarks.segmentation.capacity(), blockM);
  of.program.kernel("weight_columns", heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const auto [head, segments, rowsOfHead, gradients] = of.headOf(k, cell % heads);
    const Scalar j0 = cell / heads * blockM; // the first have the most rows
    const Tile j = j0 + k.iota(blockM);
    const Tile key = k.load(rowsOfHead.key, j0, blockM);
    const Tile value = k.load(rowsOfHead.value, j0, blockM);
    const std::optional<Tile> counts = rowsOfHead.counts(k, j0, blockM);
    Tile dKey = k.load(gradients.key, j0, blockM);
    Tile dBias = k.load(gradients.bias, j0, blockM);
    const Scalar target = segments.firstTarget();
    const Scalar first = target + max(j0 - target, 0) / blockN * blockN;
    k.forRange({first, segments.count}, blockN, {&dKey, &dBias}, [&](Scalar g0) {
      const Tile query = k.load(rowsOfHead.query, g0, blockN);
      const Tile x = dot(key, transposed(query), DotPrecision::Full) * logitScale(k);
      const Tile weights = LandmarkWeights::ofColumns(k, rowsOfHead, g0, blockN, counts).of(x);
      const Tile yu =
          dot(value, transposed(k.load(gradients.value, g0, blockN)), DotPrecision::Full);
      const Scalar left = segments.count - g0;
      const Tile row = cols(g0 + k.iota(blockN));
      const Tile isThere = cols(k.iota(blockN) < left) & (rows(j) <= row);
      const Tile dX = logitGradient(
          weights, yu, k.load(gradients.kappa, g0, blockN), k.load(gradients.rowMean, g0, blockN),
          k.load(gradients.diagonal, g0, blockN), isThere & (rows(j) < row),
          isThere & (rows(j) == row), [](const Tile &tile) { return cols(tile); });
      dKey = dotAdd(dKey, dX, query, DotPrecision::Full);
      dBias = dBias + rowSum(dX);
    });
    k.store(dKey, gradients.key, j0);
    k.store(dBias, gradients.bias, j0);
  });
}

} // namespace

void writeWeightGradient(const LandmarkGradients &of) {
  writeRows(of);
  writeColumns(of);
}

} // namespace nysjit
