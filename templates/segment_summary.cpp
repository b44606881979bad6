// segment_summary: one cell a segment: means of its queries and keys, the tangent of the logarithm
// of its mass at the mean query, and, unless the sum over the past makes it in passing, its own
// softmax value. Two passes over the segment.
#include "templates/landmarks.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

/// w = softmax over positions t < length of a segment of tau qtilde.k_t, and what it weighs.
struct OwnSoftmax {
  OnlineEntropy own;
  Tile weightedKey; // sum 2^(x - maximum) k
  Tile pool;        // sum 2^(x - maximum) v

  OwnSoftmax(Kernel &k, int headDim)
      : own(k), weightedKey(k.fill(headDim, 0)), pool(k.fill(headDim, 0)) {}
  Carry carry() { return {&own.maximum, &own.mass, &own.excess, &weightedKey, &pool}; }

  /// `values` null: not needed.
  void add(const Tile &logits, const Tile &isThere, const Tile &keys,
           const std::function<Tile()> &values) {
    const auto [weight, shrink] = own.add(logits, isThere);
    weightedKey = weightedKey * shrink + columnSum(keys * rows(weight));
    if (values)
      pool = pool * shrink + columnSum(values() * rows(weight));
  }
};

/// What a cell summarizes: one segment of one head.
class Segment {
public:
  Segment(Kernel &k, const Landmarks &landmarks)
      : k(k), landmarks(landmarks), kind(landmarks.options.weight),
        needsPool(!landmarks.past.makesPools()) {
    const Scalar &capacity = landmarks.segmentation.capacity();
    const Scalar cell = k.cell();
    pair = cell / capacity;
    g = cell % capacity;
    head = headOf(k, landmarks.attention, pair);
    segments = landmarks.segmentation.of(k, head);
    const Scalar start = segments.startOf(g);
    const Scalar own = min(segments.endOf(g) - start, segments.len);
    length = max(select(g < segments.count, own, 0), 0);
    // A source's value is U alone.
    const bool isSolved = landmarks.options.isNystrom;
    const Scalar pooled = isSolved ? select(segments.source <= g, length, 0) : length;
    query = k.slice(head.query, start, length);
    key = k.slice(head.key, start, length);
    value = k.slice(head.value, start, pooled);
    if (const std::optional<int> s = landmarks.spec.segmentLen)
      block = std::clamp<int>(std::bit_ceil(unsigned(*s)), 8, 64);
  }

  void storeMeans();
  void storeTangent();

private:
  bool isTangent() const { return kind == Landmarks::Weight::Tangent; }
  /// Rows beyond a sequence's landmarks are written, too, and nobody reads them.
  void store(const Tile &x, const TensorRef &tensor) { k.store(x, k.view(tensor, {pair, g}), 0); }

  Kernel &k;
  const Landmarks &landmarks;
  const Landmarks::Weight kind;
  const bool needsPool;
  int block = 64; // positions of an iteration
  Scalar pair;
  Scalar g;
  Head head;
  Segments segments;
  Scalar length;
  View query;
  View key;
  View value;
  Tile meanQuery;
};

/// qtilde_g, ktilde_g: means of q and k over the segment
void Segment::storeMeans() {
  const bool needsMeanKey = !isTangent() || landmarks.segmentation.hasSource();
  meanQuery = k.fill(landmarks.spec.headDim, 0);
  Tile meanKey = k.fill(landmarks.spec.headDim, 0);
  k.forRange({0, length}, block, {&meanQuery, &meanKey}, [&](Scalar t0) {
    meanQuery = meanQuery + columnSum(k.load(query, t0, block));
    if (needsMeanKey)
      meanKey = meanKey + columnSum(k.load(key, t0, block));
  });
  const Tile positions = k.number(length);
  meanQuery = quotient(meanQuery, positions);
  if (!landmarks.query.name.empty())
    store(meanQuery, landmarks.query);
  if (needsMeanKey)
    store(quotient(meanKey, positions), isTangent() ? landmarks.meanKey : landmarks.key);
}

/// khat = sum w k, pool = sum w v, and e^c, c = ln z - sum w (x - max x) with z = sum e^{x - max x}
/// the entropy of w
void Segment::storeTangent() {
  OwnSoftmax softmax(k, landmarks.spec.headDim);
  const bool isWeighed = isTangent() || needsPool || landmarks.isKept;
  const Scalar weighed = isWeighed ? length : Scalar(0);
  k.forRange({0, weighed}, block, softmax.carry(), [&](Scalar t0) {
    const Tile keys = k.load(key, t0, block);
    const Tile isThere = t0 + k.iota(block) < length;
    const Tile logits = rowSum(keys * cols(meanQuery)) * logitScale(k);
    auto values = [&] { return k.load(value, t0, block); };
    softmax.add(logits, isThere, keys, needsPool ? values : std::function<Tile()>());
  });
  if (isTangent())
    store(quotient(softmax.weightedKey, softmax.own.mass), landmarks.key);
  if (kind != Landmarks::Weight::Plain) {
    // e^c = z e^{-sum w (x - max x)}: at most the number of positions, also where their keys are
    // not finite, which rows that may not see them must not notice
    const Tile positions = k.number(length);
    const Tile count = softmax.own.mass * exp2(-1.0 * (softmax.own.excess / softmax.own.mass));
    k.store(isTangent() ? where(count <= positions, count, positions) : positions,
            landmarks.rowsOf(k, landmarks.count, head, segments.count), g);
  }
  if (needsPool)
    store(softmax.pool / softmax.own.mass, landmarks.pool);
  if (landmarks.isKept) {
    const auto keep = [&](const Tile &number, const TensorRef &tensor) {
      k.store(number, landmarks.rowsOf(k, tensor, head, segments.count), g);
    };
    keep(softmax.own.maximum, landmarks.ownMaximum);
    keep(1.0 / softmax.own.mass, landmarks.ownShare);
  }
}

} // namespace

void writeSegmentSummary(const Landmarks &landmarks) {
  const Scalar cells = landmarks.attention.heads() * landmarks.segmentation.capacity();
  landmarks.program.kernel("segment_summary", cells, [&](Kernel &k) {
    Segment segment(k, landmarks);
    segment.storeMeans();
    if (landmarks.segmentation.hasTarget())
      segment.storeTangent();
  });
}

} // namespace nysjit
