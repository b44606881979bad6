// Far and near sums of query rows.
#include "templates/query_sums.h"

namespace nysjit {

void addFar(Kernel &k, OnlineSoftmax &softmax, const LandmarkRows &landmarks, const Tile &query,
            const Mask &mask, const Scalar &end, int block) {
  k.forTiles({0, end}, mask, block, softmax.carry(), [&](Scalar j0, const TileMask &seen) {
    const Tile logits = landmarks.logits(k, query, j0, block, {DotPrecision::TwoTerms, seen});
    softmax.add(logits, k.load(landmarks.value, j0, block), seen, landmarks.counts(k, j0, block));
  });
}

void addNear(Kernel &k, OnlineSoftmax &softmax, const Head &head, const Tile &query,
             const Mask &mask, const Range &positions, int block) {
  const Tile scale = logitScale(k);
  k.forTiles(positions, mask, block, softmax.carry(), [&](Scalar t0, const TileMask &seen) {
    const Tile key = k.load(head.key, t0, block);
    const Tile logits = dot(query, transposed(key), seen) * scale;
    softmax.add(logits, k.load(head.value, t0, block), seen);
  });
}

} // namespace nysjit
