// Gradients through near positions.
#include "templates/near_gradient.h"

namespace nysjit {

void addNearQueryGradient(Kernel &k, Tile &dq, const Head &head, const GradientRows &rows,
                          const QueryTile &queries, const Mask &mask, const Range &positions,
                          int block) {
  const int count = queries.i.rows();
  const Tile scale = logitScale(k);
  const Tile dO = k.load(rows.dout, queries.i0, count);
  const SoftmaxRows numbers(k, rows, queries.i0, count);
  k.forTiles(positions, mask, block, {&dq}, [&](Scalar t0, const TileMask &seen) {
    const Tile key = k.load(head.key, t0, block);
    const Tile x = dot(queries.query, transposed(key), seen) * scale;
    const Tile dWeights = dot(dO, transposed(k.load(head.value, t0, block)), seen);
    const Tile dX = SoftmaxGradient::ofRows(x, dWeights, numbers, seen).logits;
    dq = dotAdd(dq, dX, key, DotOptions::zeroElsewhere(seen));
  });
}

KeyGradient::KeyGradient(Kernel &k, const Head &head, const Scalar &t0, int count)
    : key(k.load(head.key, t0, count)), value(k.load(head.value, t0, count)),
      dk(k.fill(count, key.columns(), 0)), dv(k.fill(count, key.columns(), 0)) {}

void KeyGradient::store(Kernel &k, const Gradients &gradients, const Head &head, const Scalar &t0,
                        const Scalar &end) const {
  k.store(dk * k.scale(), k.slice(gradients.keyRowsOf(k, gradients.dk, head), 0, end), t0);
  k.store(dv, k.slice(gradients.keyRowsOf(k, gradients.dv, head), 0, end), t0);
}

void addNearKeyGradient(Kernel &k, KeyGradient &sums, const Head &head, const GradientRows &rows,
                        const Mask &mask, const Range &queries, int block, const QuerySums *fused) {
  const Tile scale = logitScale(k);
  k.forTiles(queries, mask, block, sums.carry(), [&](Scalar i0, const TileMask &seen) {
    const Tile query = k.load(head.query, i0, block);
    const Tile dO = k.load(rows.dout, i0, block);
    TileMask ofRows;
    if (fused && !seen.hidesNothing())
      ofRows = TileMask(fused->positionsOf(i0 + k.iota(block)), fused->t0);
    const TileMask &read = fused ? ofRows : seen;
    const Tile x = dot(sums.key, transposed(query), read) * scale;
    const Tile dWeights = dot(sums.value, transposed(dO), read);
    const SoftmaxGradient gradient =
        SoftmaxGradient::ofColumns(x, dWeights, SoftmaxRows(k, rows, i0, block), seen);
    const DotOptions zeros = DotOptions::zeroElsewhere(seen);
    sums.dv = dotAdd(sums.dv, gradient.weights, dO, zeros);
    sums.dk = dotAdd(sums.dk, gradient.logits, query, zeros);
    if (!fused)
      return;
    addInMemory(k, fused->sums, i0, transposed(gradient.logits), sums.key,
                DotOptions::zeroElsewhere(ofRows));
  });
}

} // namespace nysjit
