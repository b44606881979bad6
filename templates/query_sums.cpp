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

Mask upToOwnSegment(const Segments &segments, const QueryTile &rows) {
  return Mask::below(rows.i / segments.len + 1).allSee({0, rows.i0 / segments.len + 1});
}

Scalar upToOwnSegmentEnd(const Segments &segments, const QueryTile &rows) {
  const Scalar last = min((rows.i0 + rows.i.rows() - 1) / segments.len + 1, segments.count);
  return select(rows.isUsed, last, 0);
}

NearAndFar::NearAndFar(const KernelSpec &ofSpec, const Segments &segments, const QueryTile &given)
    : spec(ofSpec), target(segments.targetRange()), rows(given),
      farEnds(max((rows.i - target.begin) / target.len - spec.window, 0)) {}

/// Of the target.
Scalar NearAndFar::farSegments(const Scalar &position) const {
  return max((position - target.begin) / target.len - spec.window, 0);
}

Scalar NearAndFar::farEnd(const Scalar &position) const {
  return select(rows.isUsed, target.first + farSegments(position), 0);
}

Scalar NearAndFar::nearBegin(const Scalar &position) const {
  return target.begin + select(rows.isUsed, farSegments(position), 0) * target.len;
}

Mask NearAndFar::far() const {
  return Mask::below(farEnds + target.first).allSee({0, farEnd(rows.i0)});
}

Mask NearAndFar::near(int block) const {
  // A few near tiles at most are not worth an unmasked loop.
  const bool isShort = spec.segmentLen && int64_t(spec.window + 1) * *spec.segmentLen <= 2 * block;
  const Mask past = Mask::upTo(rows.i).from(farEnds * target.len + target.begin);
  return isShort ? past : past.allSee({nearBegin(rows.last), rows.i0 + 1});
}

Range NearAndFar::positions() const { return {nearBegin(rows.i0), rows.end}; }

void NearAndFar::addTo(Kernel &k, OnlineSoftmax &softmax, const Head &head,
                       const LandmarkRows &landmarks, int block) const {
  const Mask ofLandmarks = far();
  const Mask ofPositions = near(block);
  addFar(k, softmax, landmarks, rows.query, ofLandmarks, farEnd(rows.last), block);
  addNear(k, softmax, head, rows.query, ofPositions, positions(), block);
}

} // namespace nysjit
