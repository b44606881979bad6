// segment_gradient: through a segment's own softmax, w_t = 2^(x_t - L) with x_t of its mean query,
// which pools v and, with tangents, k, and whose entropy is c:
//   dx_t = w_t (tau G.(k_t - khat) + p.(v_t - pool) - gamma (ln w_t + c))
// G = dkhat without its tau, p = dpool, gamma = dc. A cell: a segment; adds tau sum of dx_t k_t to
// dqtilde, without its tau, and leaves the mean that dx_t is relative to.
#include "templates/landmark_gradients.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

constexpr double ln2 = 0.6931471805599453;
/// Below, a weight is 0 and gamma ln w finite.
constexpr double leastLogWeight = -200.0;

Tile logWeight(const Tile &x, const Tile &maximum, const Tile &share) {
  return max(x - maximum + log2(share), leastLogWeight);
}

} // namespace

void writeSegmentGradient(const LandmarkGradients &of) {
  const Landmarks &landmarks = of.landmarks;
  const Scalar &capacity = landmarks.segmentation.capacity();
  const bool isTangent = of.isTangent();
  int block = 64;
  if (const std::optional<int> s = of.spec.segmentLen)
    block = std::clamp<int>(std::bit_ceil(unsigned(*s)), 8, 64);
  of.program.kernel("segment_gradient", landmarks.attention.heads() * capacity, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar g = cell % capacity;
    const Head head = headOf(k, landmarks.attention, cell / capacity);
    const Segments segments = landmarks.segmentation.of(k, head);
    const Scalar start = segments.startOf(g);
    const Scalar length =
        max(select(g < segments.count, min(segments.endOf(g) - start, segments.len), 0), 0);
    const View keys = k.slice(head.key, start, length);
    const View values = k.slice(head.value, start, length);
    const LandmarkGradientRows rowsOf = of.rowsOf(k, head, segments);
    // Rows that there are, those that have a pool, those whose dqtilde has been begun.
    const Scalar exists = g < segments.count;
    const Scalar hasPool = of.isSolved ? exists & (segments.firstTarget() <= g) : exists;
    const Scalar isBegun = of.isSolved ? exists : g < segments.source;
    auto viewOf = [&](const TensorRef &tensor, const Scalar &isThere) {
      return k.slice(k.view(tensor, {head.pair, g}), 0, select(isThere, of.spec.headDim, 0));
    };
    auto vector = [&](const TensorRef &tensor, const Scalar &isThere) {
      return k.load(viewOf(tensor, isThere), 0, of.spec.headDim);
    };
    auto number = [&](const TensorRef &tensor) {
      return k.loadNumber(landmarks.rowsOf(k, tensor, head, segments.count), g);
    };
    const Tile query = vector(landmarks.query, exists);
    const Tile dPool = vector(of.pool, hasPool);
    const Tile maximum = number(landmarks.ownMaximum);
    const Tile share = number(landmarks.ownShare);
    Tile mean = sumOf(dPool * vector(landmarks.pool, hasPool));
    Tile dKey = k.fill(of.spec.headDim, 0);
    Tile dBias = k.number(0.0);
    Tile bias = k.number(0.0);
    if (isTangent) {
      dKey = vector(of.key, exists) * k.scale();
      dBias = number(of.bias) * ln2;
      bias = log2(number(landmarks.count));
      mean = mean + sumOf(dKey * vector(landmarks.key, exists));
    }
    k.store(mean, rowsOf.ownMean, g);
    Tile sum = of.hasPast() ? vector(of.query, isBegun) : k.fill(of.spec.headDim, 0);
    k.forRange({0, length}, block, {&sum}, [&](Scalar t0) {
      const Tile key = k.load(keys, t0, block);
      const Tile x = rowSum(key * cols(query)) * logitScale(k);
      const Tile logW = logWeight(x, maximum, share);
      Tile e = rowSum(k.load(values, t0, block) * cols(dPool)) - mean;
      if (isTangent)
        e = e + rowSum(key * cols(dKey)) - dBias * (logW + bias);
      const Tile none = (t0 + k.iota(block) >= length) | (share == 1.0); // sharesOfLogits
      sum = sum + columnSum(key * rows(where(none, 0.0, exp2(logW) * e)));
    });
    k.store(sum, viewOf(of.query, exists), 0);
  });
}

/// A landmark's mean of `segments`' positions, for each position of a tile. The target's last,
/// incomplete segment has none: zeros.
static Tile meanGradient(Kernel &k, const View &means, const SegmentsOfTile &of,
                         const Tile &positions) {
  const Tile landmark = of.range().of(positions);
  return k.gather(means, landmark) * rows(1.0 / toFloat(of.segments.lengths(landmark)));
}

Tile addMeanQueryGradient(Kernel &k, const Tile &dq, const LandmarkGradientRows &of,
                          const SegmentsOfTile &segments, const QueryTile &queries) {
  return dq + meanGradient(k, of.query, segments, queries.i);
}

/// Adds what the positions' own segments' softmax makes of their keys and values: khat, c and pool.
static void addOwnSoftmaxGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &of,
                                  const Head &head, const SegmentsOfTile &at, const Scalar &t0) {
  const Landmarks &landmarks = of.landmarks;
  const SegmentRange range = at.range();
  const LandmarkGradientRows rowsOf = of.rowsOf(k, head, at.segments);
  const int count = sums.dk.rows();
  constexpr int block = 16; // a tile of positions has few segments
  const Tile segment = range.of(t0 + k.iota(count));
  const Range own{range.of(t0), min(range.of(t0 + (count - 1)) + 1, range.last)};
  auto rowsOfLandmarks = [&](const TensorRef &tensor) {
    return landmarks.rowsOf(k, tensor, head, range.last);
  };
  const View queries = rowsOfLandmarks(landmarks.query);
  const View maxima = rowsOfLandmarks(landmarks.ownMaximum);
  const View shares = rowsOfLandmarks(landmarks.ownShare);
  const bool hasPool = !at.isSource() || !of.isSolved;
  // Rows of the last, incomplete segment see none.
  const Mask mask = Mask::below(min(segment + 1, range.last)).from(segment);
  k.forTiles(own, mask, block, sums.carry(), [&](Scalar j0, const TileMask &seen) {
    const DotOptions zeros = DotOptions::zeroElsewhere(seen);
    const Tile query = k.load(queries, j0, block);
    const Tile x = dot(sums.key, transposed(query), {DotPrecision::TwoTerms, seen}) * logitScale(k);
    const Tile share = k.load(shares, j0, block);
    const Tile logW = max(x - cols(k.load(maxima, j0, block)) + cols(log2(share)), leastLogWeight);
    const Tile weight = where(seen, exp2(logW), 0.0);
    Tile e = cols(k.load(rowsOf.ownMean, j0, block)) * -1.0;
    if (hasPool) {
      const Tile dPool = k.load(rowsOf.pool, j0, block);
      e = dot(sums.value, transposed(dPool), seen) + e;
      sums.dv = dotAdd(sums.dv, weight, dPool, zeros);
    }
    if (of.isTangent()) {
      const Tile dKey = k.load(rowsOf.key, j0, block);
      const Tile bias = log2(k.load(rowsOfLandmarks(landmarks.count), j0, block));
      const Tile dBias = k.load(rowsOf.bias, j0, block) * ln2;
      const Tile ofKey = dot(sums.key, transposed(dKey), seen) * k.scale();
      e = e + ofKey - cols(dBias) * (logW + cols(bias));
      sums.dk = dotAdd(sums.dk, weight, dKey, zeros);
    }
    e = weight * where(cols(share == 1.0), 0.0, e); // sharesOfLogits
    sums.dk = dotAdd(sums.dk, where(seen, e, 0.0), query, zeros);
  });
}

/// The same of positions of a target that are all of one segment: its vectors, not a tile of them.
static void addOneSegmentGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &of,
                                  const Head &head, const SegmentsOfTile &at, const Scalar &t0) {
  const Landmarks &landmarks = of.landmarks;
  const SegmentRange range = at.range();
  const LandmarkGradientRows rowsOf = of.rowsOf(k, head, at.segments);
  const Scalar segment = range.of(t0);
  const Scalar isThere = segment < range.last; // the last, incomplete one has no landmark
  auto vector = [&](const TensorRef &tensor) {
    const View row = k.view(tensor, {head.pair, select(isThere, segment, 0)});
    return k.load(k.slice(row, 0, select(isThere, of.spec.headDim, 0)), 0, of.spec.headDim);
  };
  auto number = [&](const TensorRef &tensor) {
    return k.loadNumber(landmarks.rowsOf(k, tensor, head, range.last), segment);
  };
  const Tile query = vector(landmarks.query);
  const Tile dPool = vector(of.pool);
  const Tile x = rowSum(sums.key * cols(query)) * logitScale(k);
  const Tile share = number(landmarks.ownShare);
  const Tile logW = logWeight(x, number(landmarks.ownMaximum), share);
  const Tile none = t0 + k.iota(sums.dk.rows()) >= select(isThere, range.end, 0);
  const Tile weight = where(none, 0.0, exp2(logW));
  Tile e = rowSum(sums.value * cols(dPool)) - k.loadNumber(rowsOf.ownMean, segment);
  if (of.isTangent()) {
    const Tile dKey = vector(of.key);
    const Tile bias = log2(number(landmarks.count));
    e = e + rowSum(sums.key * cols(dKey)) * k.scale() - number(of.bias) * ln2 * (logW + bias);
    sums.dk = sums.dk + rows(weight) * cols(dKey);
  }
  sums.dv = sums.dv + rows(weight) * cols(dPool);
  const Tile dX = where(none | (share == 1.0), 0.0, weight * e); // sharesOfLogits
  sums.dk = sums.dk + rows(dX) * cols(query);
}

/// Each row of the tile through the landmark of its own segment: its softmax and its mean key.
void addOwnKeyGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &of, const Head &head,
                       const SegmentsOfTile &at, const Scalar &t0) {
  const LandmarkGradientRows rowsOf = of.rowsOf(k, head, at.segments);
  const bool hasPool = of.landmarks.segmentation.hasTarget() && (!at.isSource() || !of.isSolved);
  const bool isOneSegment = of.isFused && !at.isSource() && of.isOneSegment(sums.dk.rows());
  if (isOneSegment)
    addOneSegmentGradient(k, sums, of, head, at, t0);
  else if (of.isTangent() || hasPool)
    addOwnSoftmaxGradient(k, sums, of, head, at, t0);
  const Tile positions = t0 + k.iota(sums.dk.rows());
  if (at.isSource())
    sums.dk = sums.dk + meanGradient(k, rowsOf.meanKey, at, positions);
  else if (!of.isTangent())
    sums.dk = sums.dk + meanGradient(k, rowsOf.key, at, positions);
}

} // namespace nysjit
