// Tiles of positions and landmarks, and passes over them.
#include "templates/scan_tiles.h"

namespace nysjit {

namespace {

constexpr double jump = 32;

} // namespace

ScanTiles::ScanTiles(Kernel &kernel, const Scan &of, const BlockConfig &blocks,
                     const InverseWorkspace &inverse, const Head &ofHead)
    : blockM(*blocks.blockM), blockN(*blocks.blockN), isKept(of.isKeptBy(blocks)),
      row(kernel.iota(blockM)), k(kernel), scan(of), head(ofHead), queries(of.queryRows(k, head)),
      keys(of.keyRows(k, head)), scale(logitScale(k)) {
  const Scalar number = scan.isFirstK ? head.pair : head.queryHead;
  inverted = k.slice(inverse.result(k, number), 0, scan.landmarks);
  if (isKept) {
    keptQueries = k.load(queries, 0, blockN);
    keptKeys = k.load(keys, 0, blockN);
  }
}

void ScanTiles::forLandmarks(const Carry &carry,
                             const std::function<void(const Scalar &)> &body) const {
  if (isKept)
    body(0);
  else
    k.forRange({0, all()}, blockN, carry, [&](Scalar j0) { body(j0); });
}

/// tau q_i.ktilde_l of landmarks l0 on; beyond the last -infinity.
Tile ScanTiles::landmarkLogits(const Tile &query, const Scalar &l0) const {
  const Tile x = dot(query, transposed(keysFrom(l0)), scan.precision()) * scale;
  return where(cols(l0 + k.iota(blockN)) < all(), x, negativeInfinity);
}

ScanTiles::WeightsOf ScanTiles::weights(const Tile &query) const {
  if (isKept) {
    const Tile x = landmarkLogits(query, 0);
    const Tile weight = exp2(x - rows(rowMax(x)));
    const Tile kept = weight * rows(1.0 / rowSum(weight));
    return [kept](const Scalar &) { return kept; };
  }
  OnlineMass total(k, blockM);
  k.forRange({0, all()}, blockN, total.carry(),
             [&](Scalar l0) { total.add(landmarkLogits(query, l0)); });
  const Tile maximum = total.maximum;
  const Tile share = 1.0 / total.mass;
  return [this, query, maximum, share](const Scalar &l0) {
    return exp2(min(landmarkLogits(query, l0) - rows(maximum), 0.0)) * rows(share);
  };
}

Tile ScanTiles::product(const WeightsOf &weightsOf, const Scalar &j0) const {
  if (isKept)
    return dot(weightsOf(0), inverseTile(0, j0), DotPrecision::Full);
  Tile p = k.fill(blockM, blockN, 0);
  k.forRange({0, all()}, blockN, {&p}, [&](Scalar l0) {
    const Tile weight = weightsOf(l0);
    p = dotAdd(p, weight, inverseTile(l0, j0), DotPrecision::Full);
  });
  return p;
}

Tile ScanTiles::logits(const Tile &key, const Scalar &i0, const Scalar &j0,
                       const Scalar &end) const {
  const Tile scores = dot(key, transposed(queriesFrom(j0)), scan.precision()) * scale;
  return where(rows(i0 + row < end), scores, negativeInfinity);
}

void ScanTiles::advance(OnlineSoftmax &state, const Scalar &i0, const Scalar &j0,
                        const Scalar &end) const {
  const Tile query = queriesFrom(j0);
  const Tile key = k.load(head.key, i0, blockM);
  const Tile x = dot(query, transposed(key), scan.precision()) * scale;
  const Tile isThere = cols(i0 + row < end);
  state.add(where(isThere, x, negativeInfinity), k.load(head.value, i0, blockM));
}

void ScanTiles::forPasses(const Tile &x, const OnlineSoftmax &before, const Carry &carry,
                          const std::function<void(const ScanPass &)> &body) const {
  const Tile floatRow = toFloat(row);
  Tile start = k.number(0); // the first row that no pass has had
  Carry carried = carry;
  carried.push_back(&start);
  auto isLeft = [&] { return k.toInteger(start) < blockM; };
  k.whileLoop(carried, isLeft, [&] {
    const Scalar first = k.toInteger(start);
    const Tile known = where(rows(row) <= first, x, negativeInfinity);
    const Tile R = max(before.maximum, columnMax(known));
    const Tile shrink = exp2(before.maximum - R);
    const Tile above = x - cols(R);
    const Tile weight = exp2(where(jump < above, jump, above)); // a NaN stays one
    const Tile leaps = rowMax(where(rows(row) >= first + 1, above, negativeInfinity));
    const Tile next = minOf(where(jump < leaps, floatRow, double(blockM)));
    const Tile masses = cumulativeSum(weight, Axis::Rows) + cols(before.mass * shrink);
    body({R, shrink, weight, masses, (row >= first) & (floatRow < next)});
    start = next;
  });
}

} // namespace nysjit
