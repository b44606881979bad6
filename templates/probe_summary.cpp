// probe_summary: one cell a segment of a key head: what it is through the probes of all query heads
// of the group, block_m of them at a time, in one pass over its keys and values.
#include "templates/probes.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

/// w = softmax over positions of x = tau p.k_t for each probe, and what it weighs.
struct TangentSums {
  OnlineEntropy own;
  Tile key;   // sum 2^(x - maximum) k
  Tile value; // sum 2^(x - maximum) v

  TangentSums(Kernel &k, int count, int headDim)
      : own(k, count), key(k.fill(count, headDim, 0)), value(k.fill(count, headDim, 0)) {}
  Carry carry() { return {&own.maximum, &own.mass, &own.excess, &key, &value}; }

  /// `there`: the rows that are probes.
  void add(const Tile &logits, const Tile &keys, const Tile &values, const TileMask &seen,
           const TileMask &there) {
    const auto [weight, shrink] = own.add(logits, seen);
    key = dotAdd(key * rows(shrink), weight, keys, {DotPrecision::TwoTerms, there});
    value = dotAdd(value * rows(shrink), weight, values, there);
  }

  ProbeSums result() const {
    const Tile entropy = max(log2(own.mass) - own.excess / own.mass, 0.0);
    return {own.maximum, own.mass, entropy, quotient(key, rows(own.mass)),
            value * rows(1.0 / own.mass)};
  }
};

/// The value at position `start` of a head, one number a column; 0 where it is not there.
Tile valueAt(Kernel &k, const Probes &probes, const Head &head, const Scalar &start,
             const Scalar &isThere) {
  const View row =
      k.view(probes.attention.value, {head.sequence, head.keyHead, head.start + start});
  const int headDim = probes.spec.headDim;
  return k.load(k.slice(row, 0, select(isThere, headDim, 0)), 0, headDim);
}

/// The probes in float32 read from where khat will lie: registers have no room for them beside the
/// sums.
Tile fromMemory(Kernel &k, const Probes &probes, const Tile &queries, const View &khat,
                const Scalar &row0) {
  if (probes.spec.dtype != DType::Float32)
    return queries;
  k.store(queries, khat, row0);
  k.sync();
  return k.load(khat, row0, queries.rows());
}

} // namespace

void writeProbeSummary(const Probes &probes) {
  const KernelSpec &spec = probes.spec;
  const int wanted = std::clamp<int>(std::bit_ceil(unsigned(spec.segmentLen.value_or(64))), 16, 64);
  const BlockConfig blocks =
      probes.program.blocks("probe_summary", {.blockM = 16, .blockN = wanted},
                            {.hasFloat32Operand = false, .keepsTwoSums = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar capacity = probes.segmentation.capacity();
  const Scalar tiles = ceilDiv(probes.rows, blockM);
  probes.program.kernel("probe_summary", probes.keyHeads() * capacity * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar row0 = cell % tiles * blockM;
    const Scalar g = cell / tiles % capacity;
    const Scalar keyPair = cell / (tiles * max(capacity, 1));
    const Scalar sequence = keyPair / max(probes.attention.keyHeads, 1);
    const Scalar firstHead = keyPair % max(probes.attention.keyHeads, 1) * probes.group;
    const Head head =
        headOf(k, probes.attention, sequence * probes.attention.queryHeads + firstHead);
    const Segments segments = probes.segmentation.of(k, head);
    const Scalar length = select(g < segments.count, segments.len, 0);
    const View keys = k.slice(head.key, g * segments.len, length);
    const View values = k.slice(head.value, g * segments.len, length);

    const Scalar block = probes.rowOf(0, g);
    const View khat = probes.rowsOf(k, keyPair, block).key;
    const View rowsThere = k.slice(khat, 0, probes.rows * min(length, 1));
    const Tile queries =
        fromMemory(k, probes, probes.queries(k, firstHead, row0, blockM), rowsThere, row0);
    const TileMask there(Mask::rowsBelow(probes.rows), row0);
    // Means are of values less the segment's first: equal values have themselves as their mean, to
    // the bit, for a gradient finds 16 times every difference between two probes'. Values of 16
    // bits are rounded more coarsely than that.
    const bool isRelative = spec.dtype == DType::Float32;
    Tile first;
    if (isRelative)
      first = valueAt(k, probes, head, g * segments.len, min(length, 1));
    auto load = [&](const Scalar &t0) {
      const Tile value = k.load(values, t0, blockN);
      return isRelative ? value - cols(first) : value;
    };
    TangentSums sums(k, blockM, spec.headDim);
    auto addTile = [&](const Scalar &t0, const TileMask &seen) {
      const Tile key = k.load(keys, t0, blockN);
      const Tile logits = dot(queries, transposed(key), there) * logitScale(k);
      sums.add(logits, key, load(t0), seen, there);
    };
    if (spec.segmentLen && *spec.segmentLen % blockN == 0)
      k.forWholeTiles({0, length}, blockN, sums.carry(), [&](Scalar t0) { addTile(t0, {}); });
    else
      k.forTiles({0, length}, Mask::below(length), blockN, sums.carry(), addTile);
    // Segments that are not there leave nothing: nobody reads it.
    k.forRange({0, min(length, 1)}, 1, {}, [&](Scalar) {
      ProbeSums result = sums.result();
      if (isRelative)
        result.value = result.value + cols(first);
      probes.store(k, result, keyPair, block, row0);
    });
  });
}

} // namespace nysjit
