// probe_summary: one cell a segment of a key head: what it is through the probes of all query heads
// of the group, block_m of them at a time, in one pass over its keys and values; or where a
// thread's registers do not hold both sums (`fused` 0), in one of probe_values those of values
// before.
#include "templates/probes.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace nysjit {

namespace {

/// w = softmax over positions of x = tau p.k_t for each probe, and what it weighs: keys, values or
/// both.
struct TangentSums {
  const bool hasKeys;
  const bool hasValues;
  OnlineEntropy own;
  Tile key;   // sum 2^(x - maximum) k
  Tile value; // sum 2^(x - maximum) v

  TangentSums(Kernel &k, int count, int headDim, bool hasKeys, bool hasValues)
      : hasKeys(hasKeys), hasValues(hasValues), own(k, count) {
    for (Tile *sum : sums())
      *sum = k.fill(count, headDim, 0);
  }
  Carry sums() {
    Carry all;
    if (hasKeys)
      all.push_back(&key);
    if (hasValues)
      all.push_back(&value);
    return all;
  }
  Carry carry() {
    Carry all = {&own.maximum, &own.mass, &own.excess};
    for (Tile *sum : sums())
      all.push_back(sum);
    return all;
  }

  /// `there`: the rows that are probes. Values come first: they take the weights' high terms alone,
  /// so that no low ones lie in registers meanwhile.
  void add(const Tile &logits, const Tile &keys, const Tile &values, const TileMask &seen,
           const TileMask &there) {
    const auto [weight, shrink] = own.add(logits, seen);
    if (hasValues)
      value = dotAdd(value * rows(shrink), weight, values, there);
    if (hasKeys)
      key = dotAdd(key * rows(shrink), weight, keys, {DotPrecision::TwoTerms, there});
  }

  /// Values are means of what lies over `first`. The masses go with the keys.
  void store(Kernel &k, const ProbeRows &to, const Scalar &row0,
             const std::optional<Tile> &first) const {
    if (hasKeys) {
      k.store(quotient(key, rows(own.mass)), to.key, row0);
      k.store(own.maximum, to.maximum, row0);
      k.store(own.mass, to.mass, row0);
      k.store(max(log2(own.mass) - own.excess / own.mass, 0.0), to.entropy, row0);
    }
    if (hasValues) {
      const Tile mean = value * rows(1.0 / own.mass);
      k.store(first ? mean + cols(*first) : mean, to.value, row0);
    }
  }
};

/// The value at position `start` of a head, which is there, one number a column.
Tile valueAt(Kernel &k, const Probes &probes, const Head &head, const Scalar &start) {
  const View row =
      k.view(probes.attention.value, {head.sequence, head.keyHead, head.start + start});
  return k.load(row, 0, probes.spec.headDim);
}

/// Where a cell is: block_m probes from `row0` on of segment `g` of a key head.
struct Place {
  Head head; // of the group's first query head
  Scalar keyPair;
  Scalar firstHead;
  Scalar row0;
  Scalar g;

  Place(Kernel &k, const Probes &probes, const Scalar &cell, const Scalar &tiles, int blockM)
      : head() {
    const Scalar capacity = probes.segmentation.capacity();
    row0 = cell % tiles * blockM;
    g = cell / tiles % capacity;
    keyPair = cell / (tiles * max(capacity, 1));
    const Scalar sequence = keyPair / max(probes.attention.keyHeads, 1);
    firstHead = keyPair % max(probes.attention.keyHeads, 1) * probes.group;
    head = headOf(k, probes.attention, sequence * probes.attention.queryHeads + firstHead);
  }
  /// Where the segment's sums go.
  ProbeRows rows(Kernel &k, const Probes &probes) const {
    return probes.rowsOf(k, keyPair, probes.rowOf(1, g));
  }
};

/// The cell's probes. In float32 read from where khat will lie, if the segment `isThere`: registers
/// have no room for them beside the sums.
Tile queriesOf(Kernel &k, const Probes &probes, const Place &at, int count, const Scalar &isThere) {
  const Tile queries = probes.queries(k, at.firstHead, at.row0, count);
  if (probes.spec.dtype != DType::Float32)
    return queries;
  const View khat = k.slice(at.rows(k, probes).key, 0, probes.rows * isThere);
  k.store(queries, khat, at.row0);
  k.sync();
  return k.load(khat, at.row0, count);
}

/// One pass over the segment's keys and, for values' sums, its values.
void summarize(Kernel &k, const Probes &probes, const BlockConfig &blocks, const Place &at,
               bool hasKeys, bool hasValues) {
  const KernelSpec &spec = probes.spec;
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Segments segments = probes.segmentation.of(k, at.head);
  const Scalar begin = at.g * segments.len;
  const Scalar length = select(at.g < segments.count, segments.len, 0);
  const Scalar isThere = min(length, 1);
  const View keys = k.slice(at.head.key, begin, length);
  const View values = k.slice(at.head.value, begin, length);

  const Tile queries = queriesOf(k, probes, at, blockM, isThere);
  const TileMask there(Mask::rowsBelow(probes.rows), at.row0);
  // Means are of values less the segment's first: equal values have themselves as their mean, to
  // the bit, for a gradient finds 16 times every difference between two probes'. Values of 16
  // bits are rounded more coarsely than that. Loaded where it is needed, it takes no registers.
  const bool isRelative = spec.dtype == DType::Float32;
  const auto first = [&] { return valueAt(k, probes, at.head, begin); };
  TangentSums sums(k, blockM, spec.headDim, hasKeys, hasValues);
  auto addTile = [&](const Scalar &t0, const TileMask &seen) {
    const Tile key = k.load(keys, t0, blockN);
    const Tile logits = dot(queries, transposed(key), there) * logitScale(k);
    const auto load = [&] {
      const Tile value = k.load(values, t0, blockN);
      return isRelative ? value - cols(first()) : value;
    };
    sums.add(logits, key, hasValues ? load() : key, seen, there);
  };
  if (spec.segmentLen && *spec.segmentLen % blockN == 0)
    k.forWholeTiles({0, length}, blockN, sums.carry(), [&](Scalar t0) { addTile(t0, {}); });
  else
    k.forTiles({0, length}, Mask::below(length), blockN, sums.carry(), addTile);
  // Segments that are not there leave nothing: nobody reads it. Addresses are computed where they
  // are needed, or they would take registers through the loop.
  k.forRange({0, isThere}, 1, {}, [&](Scalar) {
    sums.store(k, at.rows(k, probes), at.row0,
               isRelative && hasValues ? std::optional(first()) : std::nullopt);
  });
}

} // namespace

void writeProbeSummary(const Probes &probes) {
  const KernelSpec &spec = probes.spec;
  const int wanted = std::clamp<int>(std::bit_ceil(unsigned(spec.segmentLen.value_or(64))), 16, 64);
  // probe_values, too: one warp copies all.
  const KernelFacts facts = {
      .hasFloat32Operand = false, .keepsTwoSums = true, .maySplitSums = true};
  const auto write = [&](const char *name, const BlockConfig &blocks, bool hasKeys,
                         bool hasValues) {
    const Scalar tiles = ceilDiv(probes.rows, *blocks.blockM);
    const Scalar cells = probes.keyHeads() * probes.segmentation.capacity() * tiles;
    probes.program.kernel(name, cells, [&](Kernel &k) {
      const Place at(k, probes, k.cell(), tiles, *blocks.blockM);
      summarize(k, probes, blocks, at, hasKeys, hasValues);
    });
  };
  const BlockConfig blocks =
      probes.program.blocks("probe_summary", {.blockM = 16, .blockN = wanted, .fused = 1}, facts);
  // Values first: where khat will lie the probes are until then (fromMemory).
  if (!*blocks.fused)
    write("probe_values",
          probes.program.blocks("probe_values", {.blockM = 16, .blockN = wanted}, facts), false,
          true);
  write("probe_summary", blocks, true, *blocks.fused);
}

} // namespace nysjit
