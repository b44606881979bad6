// inverse_gradient: through U_1 = A+ (B V) of a source's landmarks, A+ the iterated inverse Z_T:
//   dBV = Z_T^T dU_1,  dZ_T = dU_1 BV^T,  D^B_g = dBV_g.BV_g,  kappa_g = 1
// then through the iteration and A (inverse_gradient.h): dqtilde, and to dktilde. dU_1 is of the
// source's rows and, where the target is solved, of its landmarks. A cell: a head.
#include "templates/inverse_gradient.h"
#include "templates/landmark_gradients.h"

namespace nysjit {

namespace {

/// dU_1 in one place; then dBV, and what B's softmax takes of it.
void storePastGradient(const InverseMatrices &m, const View &inverse, const View &pastValue,
                       const LandmarkGradients &of, const LandmarkGradientRows &rows) {
  Kernel &k = m.k;
  const int block = m.block;
  auto source = [&](const View &view) { return k.slice(view, 0, m.count); };
  if (of.isSolved) {
    k.forRange({0, m.count}, block, {}, [&](Scalar g0) {
      const Tile byTarget = k.load(source(rows.value), g0, block);
      k.store(k.load(rows.sourceValue, g0, block) + byTarget, rows.sourceValue, g0);
    });
    k.sync();
  }
  k.forRange({0, m.count}, block, {}, [&](Scalar g0) {
    Tile sum = k.fill(block, of.spec.headDim, 0);
    k.forRange({0, m.count}, block, {&sum}, [&](Scalar i0) {
      const Tile dU = k.load(rows.sourceValue, i0, block);
      sum = dotAdd(sum, transpose(m.load(inverse, i0, g0)), dU, DotPrecision::Full);
    });
    k.store(sum, source(rows.past), g0);
    // As D_i: summed in the order of dBV_g.v_t, so that a row of one weight has dX = 0 to the bit.
    const Tile products = dot(sum, transposed(k.load(pastValue, g0, block)), DotPrecision::Full);
    const Tile isOwn = cols(k.iota(block)) == nysjit::rows(k.iota(block));
    k.store(rowSum(where(isOwn, products, 0.0)), source(rows.pastMean), g0);
    k.store(k.fill(block, 1.0), source(rows.kappa), g0);
  });
  k.sync();
}

} // namespace

void writeInverseGradient(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const BlockConfig blocks =
      inverseBlocks(of.program, "inverse_gradient", of.spec.landmarks, landmarks.mayBeFew());
  const int block = *blocks.blockM;
  const Scalar heads = landmarks.attention.heads();
  const Scalar &capacity = landmarks.segmentation.capacity();
  const InverseGradient inverse(of.program, heads, capacity, block);
  of.program.kernel("inverse_gradient", heads * min(capacity, 1), [&](Kernel &k) {
    const Head head = headOf(k, landmarks.attention, k.cell());
    const Segments segments = landmarks.segmentation.of(k, head);
    const LandmarkRows source = landmarks.source(k, head, segments);
    const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
    const Scalar count = segments.source;
    const InverseMatrices m = inverse.iterate(k, head.pair, source.query, source.key, count);
    const View past = landmarks.rowsOf(k, landmarks.sourcePastValue, head, count);
    storePastGradient(m, inverse.inverse(m), past, of, rows);
    inverse.differentiate(m, [&](Scalar i0, Scalar j0) { // (dU_1 BV^T)^T
      const Tile dU = k.load(rows.sourceValue, j0, block);
      return dot(k.load(past, i0, block), transposed(dU), DotPrecision::Full);
    });
    inverse.addTo(m, source.query, source.key, k.slice(rows.query, 0, count),
                  k.slice(rows.meanKey, 0, count), /*isFirst=*/true);
  });
}

} // namespace nysjit
