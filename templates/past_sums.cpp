// B V, whole or in parts, and pools in passing.
#include "templates/landmarks.h"

#include <algorithm>

namespace nysjit {

PastSums::PastSums(const Landmarks &l) : landmarks(&l) {
  const KernelSpec &spec = l.spec;
  Program &program = l.program;
  const bool hasSource = l.segmentation.hasSource();
  // Sums are split at fixed positions where the config of the first kernel that reads them says so.
  BlockConfig defaults{.blockM = 32, .blockN = 64, .split = 0};
  const KernelFacts facts{.hasFewCells = true, .mayHaveFewRows = l.mayBeFew()};
  if (hasSource) {
    source = program.blocks("source_past", defaults, facts);
    defaults.split.reset();
  }
  if (l.isSolved)
    target = program.blocks("landmark_target", defaults, facts);
  split = *(hasSource ? source : target).split;
  if (split)
    parts = program.blocks("landmark_past", {.blockM = 64, .blockN = 64}, {.keepsMore = true});
  if (l.isSolved && spec.segmentLen && (split || !hasSource)) {
    const int tile = *(split ? parts : target).blockN;
    poolsInPassing = *spec.segmentLen % tile == 0 && split % *spec.segmentLen == 0;
  }
}

/// Where pools are made, parts and their tiles begin where the target does, as its segments do.
bool PastSums::startsAtTarget() const {
  return poolsInPassing && landmarks->segmentation.hasSource();
}

/// Part `part` of the positions, `split` of them at most.
Range PastSums::partOf(const Segments &segments, const Scalar &part) const {
  const Scalar first = part * split;
  if (!startsAtTarget())
    return {first, first + split};
  const Scalar sourceParts = ceilDiv(segments.sourceLen, split);
  const Scalar isTarget = sourceParts <= part;
  const Scalar inTarget = segments.sourceLen + max(part - sourceParts, 0) * split;
  const Scalar begin = select(isTarget, inTarget, first);
  const Scalar sourceEnd = max(begin, min(begin + split, segments.sourceLen));
  return {begin, select(isTarget, begin + split, sourceEnd)};
}

/// How many of them have positions below `end`.
Scalar PastSums::partsBelow(const Segments &segments, const Scalar &end) const {
  if (!startsAtTarget())
    return ceilDiv(end, split);
  return ceilDiv(min(end, segments.sourceLen), split) +
         ceilDiv(max(end - segments.sourceLen, 0), split);
}

/// Landmarks g0 on: where their values and masses are to be, and the past each may see.
struct PastSums::Rows {
  const Segments &segments;
  Scalar g0;
  View values;
  View numbers;
  Tile pastEnds;

  /// Rows of landmarks [range.begin, range.end) alone.
  View valuesOf(Kernel &k, const Range &range) const {
    return k.slice(values, range.begin, range.end - range.begin);
  }
  View numbersOf(Kernel &k, const Range &range) const {
    return k.slice(numbers, range.begin, range.end - range.begin);
  }
};

/// (BV)_g, the softmax over t < pastEnd(g) of tau qtilde_g.k_t, times v_t: adds those of
/// `positions`. Where pools are made, a row's sums begin anew at its own segment, so that they end
/// as its pool, which is stored; what came before is kept where its value and mass are to be, and
/// merged.
void PastSums::addPositions(Kernel &k, OnlineSoftmax &sums, const Head &head,
                            const Segments &segments, const Scalar &g0, const BlockConfig &blocks,
                            const Range &positions) const {
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Landmarks &l = *landmarks;
  Rows rows{segments, g0, l.rowsOf(k, l.pool, head, segments.count), View(),
            segments.pastEnds(g0 + k.iota(blockM))};
  if (poolsInPassing)
    rows.numbers = l.rowsOf(k, l.rowMass, head, segments.count);
  const Tile queries = k.load(l.rowsOf(k, l.query, head, segments.count), g0, blockM);
  const Tile scale = logitScale(k);

  const Tile end = startsAtTarget() ? min(rows.pastEnds, positions.end) : rows.pastEnds;
  Scalar seenByAll = poolsInPassing ? segments.startOf(g0) : segments.pastEnd(g0);
  if (startsAtTarget())
    seenByAll = min(max(seenByAll, segments.sourceLen), positions.end);
  const Mask past = Mask::below(end).allSee({positions.begin, seenByAll});

  OnlineSoftmax before = sums;
  Carry carry = sums.carry();
  if (poolsInPassing)
    carry.push_back(&before.maximum);
  k.forTiles(positions, past, blockN, carry, [&](Scalar t0, const TileMask &seen) {
    if (poolsInPassing && !seen.hidesNothing())
      beginSegments(k, rows, sums, before, t0);
    const Tile key = k.load(head.key, t0, blockN);
    const Tile logits = dot(queries, transposed(key), {DotPrecision::TwoTerms, seen}) * scale;
    sums.add(logits, k.load(head.value, t0, blockN), seen);
  });
  if (poolsInPassing)
    keepPools(k, rows, sums, before, positions);
}

/// If a segment begins with the tile at t0, what its landmark has summed is what came before it.
void PastSums::beginSegments(Kernel &k, const Rows &rows, OnlineSoftmax &sums,
                             OnlineSoftmax &before, const Scalar &t0) const {
  const Segments &segments = rows.segments;
  const Scalar j = segments.firstTarget() + segments.inTarget(t0) / segments.len;
  Scalar isFirst = segments.inTarget(t0) % segments.len == 0;
  if (segments.hasSource)
    isFirst = isFirst & (segments.targetStart() <= t0);
  const Range begins{j, j + isFirst}; // the landmark whose segment it is
  const Scalar firstEnd = select(isFirst, t0 + segments.len, t0);
  const Tile isNew = (rows.pastEnds >= t0 + 1) & (rows.pastEnds <= firstEnd);
  k.store(sums.sum, rows.valuesOf(k, begins), rows.g0 - begins.begin);
  k.store(sums.mass, rows.numbersOf(k, begins), rows.g0 - begins.begin);
  before.maximum = where(isNew, sums.maximum, before.maximum);
  sums.maximum = where(isNew, lowestMaximum, sums.maximum); // what was summed shrinks to 0
}

/// The sums of landmarks whose segments lie in `positions` are their pools: stores them, and adds
/// what came before.
void PastSums::keepPools(Kernel &k, const Rows &rows, OnlineSoftmax &sums, OnlineSoftmax &before,
                         const Range &positions) const {
  const Segments &segments = rows.segments;
  const int count = sums.mass.rows();
  const Range own{segments.firstTarget() + segments.inTarget(positions.begin) / segments.len,
                  segments.firstTarget() + ceilDiv(segments.inTarget(positions.end), segments.len)};
  k.sync();
  before.sum = k.load(rows.valuesOf(k, own), rows.g0 - own.begin, count);
  before.mass = k.load(rows.numbersOf(k, own), rows.g0 - own.begin, count);
  k.sync();
  k.store(sums.result(), rows.valuesOf(k, own), rows.g0 - own.begin);
  k.sync();
  sums.merge(before);
}

void PastSums::add(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
                   const Scalar &g0, const BlockConfig &blocks, const Scalar &end) const {
  if (split)
    partial.mergeInto(k, sums, {head.pair, 0, g0, segments.count}, partsBelow(segments, end));
  else
    addPositions(k, sums, head, segments, g0, blocks, {0, end});
}

/// landmark_past: block_m landmarks in one part of the positions; the longest first. A row that
/// shares a reader's tile with later ones has empty sums where only those have positions.
void PastSums::writeParts() {
  if (!split)
    return;
  const Landmarks &l = *landmarks;
  const int blockM = *parts.blockM;
  const int readBlock = std::max(source.blockM.value_or(0), target.blockM.value_or(0));
  const Scalar &capacity = l.segmentation.capacity();
  const Scalar heads = l.attention.heads();
  const Scalar tiles = ceilDiv(capacity, blockM);
  const Scalar count = ceilDiv(l.attention.maxLength, split) + startsAtTarget();
  partial = PartialSums(l.program, "landmark_past", heads, count, capacity);
  auto body = [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar rest = cell / heads;
    const Scalar part = rest % count;
    const Scalar g0 = (tiles - 1 - rest / count) * blockM;
    const Head head = headOf(k, l.attention, cell % heads);
    const Segments segments = l.segmentation.of(k, head);
    const Scalar isUsed = g0 < segments.count;
    auto pastEndOf = [&](int rows) {
      return select(isUsed, segments.pastEnd(min(g0 + rows, segments.count) - 1), 0);
    };
    const Range all = partOf(segments, part);
    const Range summed{all.begin, max(min(pastEndOf(blockM), all.end), all.begin)};
    OnlineSoftmax sums(k, blockM, l.spec.headDim);
    addPositions(k, sums, head, segments, g0, parts, summed);
    const Scalar isRead = all.begin < pastEndOf(blockM + readBlock - 1);
    partial.store(k, sums, {head.pair, part, g0, select(isRead, segments.count, 0)});
  };
  l.program.kernel("landmark_past", heads * tiles * count, body);
}

} // namespace nysjit
