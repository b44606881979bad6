// position_gradient: a cell for block_m positions of a segment of a key head: dq, to what blocks
// gave; dk and dv from the rows that see the positions one by one, block_n of them at a time, and
// from the segment's own gradients, 16 probes at a time; and what the positions add to dp. Where
// rows see their own segment alone one by one, and it is one tile, that tile of scores serves all
// three.
// probe_gradient: a cell for block_m probes of a key head: dp, the sum over sequences and tiles.
#include "templates/probe_gradients.h"

namespace nysjit {

namespace {

constexpr double lnOf2 = 0.69314718055994530942;
constexpr int probesAtOnce = 16;
constexpr int segmentsAtOnce = 256; // whose part in dp is one sum

/// The group's first query head of a key head.
Head firstHead(Kernel &k, const ProbeGradients &of, const Scalar &keyPair) {
  const Scalar keyHeads = max(of.attention.keyHeads, 1);
  const Scalar first = keyPair % keyHeads * of.probes.group;
  return headOf(k, of.attention, keyPair / keyHeads * of.attention.queryHeads + first);
}

/// A segment of a key head's sequence, or the positions after all segments.
struct SegmentOfHead {
  Head group; // the first query head of the group
  Segments segments;
  Scalar keyPair;
  Scalar number;
  Scalar begin;
  Scalar end;

  SegmentOfHead(Kernel &k, const ProbeGradients &of, const Scalar &pair, const Scalar &segment)
      : group(firstHead(k, of, pair)), segments(of.probes.segmentation.of(k, group)), keyPair(pair),
        number(segment), begin(segment * segments.len),
        end(min((segment + 1) * segments.len, group.length)) {}

  /// A head of the group as if its sequence ended with the segment.
  Head until(Kernel &k, const Head &head) const { return head.until(k, end); }
};

/// Products of positions and some probes, a tile of which has positions as its rows or, where there
/// are few probes, those: what is not there of 16 costs little then.
struct ProductsOfProbes {
  bool byProbes;
  TileMask there;

  ProductsOfProbes(bool fewProbes, const Scalar &probes, const Scalar &row0)
      : byProbes(fewProbes), there(byProbes ? Mask::rowsBelow(probes) : Mask::below(probes), row0) {
  }
  Tile of(const Tile &positions, const Tile &probes, DotPrecision precision) const {
    const DotOptions options(precision, there);
    return byProbes ? dot(probes, transposed(positions), options)
                    : dot(positions, transposed(probes), options);
  }
  Tile along(const Tile &probes) const { return byProbes ? rows(probes) : cols(probes); }
  Tile add(const Tile &sum, const Tile &weights, const Tile &probes) const {
    return dotAdd(sum, DotOperand(weights, byProbes), probes, DotOptions::zeroElsewhere(there));
  }
  Tile sumOver(const Tile &weights, const Tile &positions) const {
    return byProbes ? dot(weights, positions, there) : dot(transpose(weights), positions);
  }
};

/// What positions add to dp, without tau, for probes [row0, row0 + 16); adds to dk and dv what they
/// have of their segment's gradients.
Tile addOwn(Kernel &k, const ProbeGradients &of, KeyGradient &sums, const SegmentOfHead &segment,
            const Scalar &row0, bool isFused) {
  constexpr int count = probesAtOnce;
  const Scalar block = of.probes.rowOf(1, segment.number);
  const ProbeRows own = of.probes.rowsOf(k, segment.keyPair, block);
  const BlockGradientRows by = of.rowsOf(k, segment.keyPair, block);
  auto load = [&](const View &view) { return k.load(view, row0, count); };
  const ProductsOfProbes products(isFused, of.probes.rows, row0);
  const Tile queries = of.probes.queries(k, segment.group.queryHead, row0, count);
  const Tile ofKey = load(by.key);
  const Tile ofValue = load(by.value);
  // The means' products are diagonals of the same products: where a position is all of a segment,
  // it does not move to the bit.
  const Tile isOwn = cols(k.iota(count)) == rows(k.iota(count));
  auto moved = [&](const Tile &positions, const View &means, const Tile &gradient) {
    const Tile ofPositions = products.of(positions, gradient, DotPrecision::TwoTerms);
    const TileMask there(Mask::below(of.probes.rows), row0);
    const Tile ofMeans = dot(load(means), transposed(gradient), {DotPrecision::TwoTerms, there});
    return ofPositions - products.along(columnSum(where(isOwn, ofMeans, 0.0)));
  };
  const Tile ofKeys = moved(sums.key, own.key, ofKey);
  const Tile ofValues = moved(sums.value, own.value, ofValue);
  const Tile x = products.of(sums.key, queries, DotPrecision::Input) * logitScale(k);
  const Tile below = min(x - products.along(load(own.maximum)), 0.0);
  const Tile mass = load(own.mass);
  const Tile weight = where(products.there, exp2(below) * products.along(1.0 / mass), 0.0);
  const Tile information =
      max(below - products.along(log2(mass)), -200.0) + products.along(load(own.entropy));
  const Tile all = ofKeys * k.scale() + ofValues -
                   products.along(load(by.entropy) * lnOf2) * information +
                   products.along(load(by.mass));
  const Tile dX = where(products.there, weight * all, 0.0);
  sums.dk = products.add(products.add(sums.dk, weight, ofKey), dX, queries);
  sums.dv = products.add(sums.dv, weight, ofValue);
  return products.sumOver(dX, sums.key);
}

/// dq of the rows of a tile from near positions, to what blocks gave.
void storeQueryGradient(Kernel &k, const ProbeGradients &of, const Head &head,
                        const Segments &segments, const Scalar &i0) {
  const int blockM = *of.positionBlocks.blockM;
  const int blockN = *of.positionBlocks.blockN;
  const QueryTile queries(k, head, i0, blockM, head.length);
  const NearAndFar seen(of.spec, segments, queries);
  const GradientRows rows = of.gradients.rowsOf(k, head);
  Tile dq = k.load(of.attention.rowsOf(k, of.farQuery, head), i0, blockM) + 0.0;
  addNearQueryGradient(k, dq, head, rows, queries, seen.near(blockN), seen.positions(), blockN);
  k.store(dq * k.scale(), rows.dq, i0);
}

/// dq, dk and dv of a segment that is one tile: one tile of scores serves all three.
void addPaired(Kernel &k, const ProbeGradients &of, KeyGradient &sums, const SegmentOfHead &segment,
               const Head &head, const Scalar &t0) {
  const int count = sums.key.rows();
  const Head own = segment.until(k, head);
  const GradientRows rows = of.gradients.rowsOf(k, own);
  const View far = of.attention.rowsOf(k, of.farQuery, own);
  const TileMask past(Mask::upTo(t0 + k.iota(count)), t0);
  const Tile query = k.load(own.query, t0, count);
  const Tile dO = k.load(rows.dout, t0, count);
  const Tile x = dot(query, transposed(sums.key), past) * logitScale(k);
  const Tile dWeights = dot(dO, transposed(sums.value), past);
  const SoftmaxGradient gradient =
      SoftmaxGradient::ofRows(x, dWeights, SoftmaxRows(k, rows, t0, count), past);
  sums.dv = dotAdd(sums.dv, transpose(gradient.weights), dO);
  sums.dk = dotAdd(sums.dk, transpose(gradient.logits), query);
  const Tile dq = dot(gradient.logits, sums.key, DotOptions::zeroElsewhere(past));
  k.store((k.load(far, t0, count) + dq) * k.scale(), rows.dq, t0);
}

/// Adds what the rows of a segment have for its positions from t0 on, each weight computed once,
/// and to the rows' dq in memory; those of the positions themselves are complete then.
void addFused(Kernel &k, const ProbeGradients &of, KeyGradient &sums, const SegmentOfHead &segment,
              const Head &head, const Scalar &t0) {
  const int count = sums.key.rows();
  const Head own = segment.until(k, head);
  const GradientRows rows = of.gradients.rowsOf(k, own);
  const View far = of.attention.rowsOf(k, of.farQuery, own);
  const QuerySums queries{far, t0, [](const Tile &i) { return Mask::rowsBelow(i + 1); }};
  const Mask future =
      Mask::below(segment.end).from(t0 + k.iota(count)).allSee({t0 + (count - 1), segment.end});
  addNearKeyGradient(k, sums, own, rows, future, {t0, segment.end}, count, &queries);
  k.store(k.load(far, t0, count) * k.scale(), rows.dq, t0);
}

/// How often a weight of a row and a position is computed: for each gradient, once in a segment
/// that is one tile, once in a tile of a part.
enum class Weights { Twice, Paired, Fused };

/// All gradients of positions from t0 on.
void storePositions(Kernel &k, const ProbeGradients &of, const SegmentOfHead &segment,
                    const Scalar &t0, Weights weights) {
  const int blockM = *of.positionBlocks.blockM;
  const int blockN = *of.positionBlocks.blockN;
  const Head own = segment.until(k, segment.group);
  if (weights == Weights::Twice)
    of.gradients.forQueryHeads(k, own, {}, [&](const Head &head) {
      storeQueryGradient(k, of, segment.until(k, head), segment.segments, t0);
    });

  KeyGradient sums(k, own, t0, blockM);
  const Scalar rowsEnd =
      min((segment.number + of.spec.window + 1) * segment.segments.len, segment.group.length);
  const Mask future =
      Mask::below(rowsEnd).from(t0 + k.iota(blockM)).allSee({t0 + blockM - 1, rowsEnd});
  of.gradients.forQueryHeads(k, segment.group, sums.carry(), [&](const Head &head) {
    if (weights == Weights::Fused)
      addFused(k, of, sums, segment, head, t0);
    else if (weights == Weights::Paired)
      addPaired(k, of, sums, segment, head, t0);
    else
      addNearKeyGradient(k, sums, head, of.gradients.rowsOf(k, head), future, {t0, rowsEnd},
                         blockN);
    sums.dv = of.gradients.addConvolution(k, sums.dv, head, t0);
  });
  const Scalar isWhole = segment.number < segment.segments.count;
  k.forRange({0, select(isWhole, of.probes.rows, 0)}, probesAtOnce, sums.carry(), [&](Scalar row0) {
    const Scalar tile = (t0 - segment.begin) / blockM;
    k.store(addOwn(k, of, sums, segment, row0, weights == Weights::Fused),
            of.probesOf(k, segment.keyPair, segment.number, tile), row0);
  });
  sums.store(k, of.gradients, own, t0);
}

} // namespace

/// A cell computes a part of a key head's positions, whole segments, tile after tile.
static void writeFusedPositions(const ProbeGradients &of) {
  const int blockM = *of.positionBlocks.blockM;
  const Scalar heads = max(of.probes.keyHeads(), 1);
  of.program.kernel("position_gradient", of.probes.keyHeads() * of.parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar pair = cell % heads;
    const Segments segments = of.probes.segmentation.of(k, firstHead(k, of, pair));
    const Scalar count = ceilDiv(of.split, segments.len); // of a part
    const Scalar first = min(cell / heads * count, segments.count + 1);
    k.forRange({first, min(first + count, segments.count + 1)}, 1, {}, [&](Scalar number) {
      const SegmentOfHead segment(k, of, pair, number);
      k.forRange({segment.begin, segment.end}, blockM, {}, [&](Scalar t0) {
        storePositions(k, of, segment, t0, Weights::Fused);
        k.sync(); // for dq of the tiles after
      });
    });
  });
}

void writePositionGradient(const ProbeGradients &of) {
  if (of.positionBlocks.fused.value_or(0))
    return writeFusedPositions(of);
  const int blockM = *of.positionBlocks.blockM;
  const bool isPaired = of.spec.window == 0 && of.spec.segmentLen && *of.spec.segmentLen <= blockM;
  const Scalar segments = of.probes.segmentation.capacity() + 1; // positions after all, too
  const Scalar cells = of.probes.keyHeads() * segments * of.tiles;
  of.program.kernel("position_gradient", cells, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const SegmentOfHead segment(k, of, cell / (segments * of.tiles), cell / of.tiles % segments);
    const Scalar t0 = segment.begin + cell % of.tiles * blockM;
    k.forRange({t0, min(t0 + blockM, segment.end)}, blockM, {}, [&](Scalar at) {
      storePositions(k, of, segment, at, isPaired ? Weights::Paired : Weights::Twice);
    });
  });
}

void writeProbeGradient(const ProbeGradients &of) {
  const Probes &probes = of.probes;
  const BlockConfig blocks = of.program.blocks("probe_gradient", {.blockM = 16});
  const int blockM = *blocks.blockM;
  const Scalar rowTiles = ceilDiv(probes.rows, blockM);
  const TensorRef gradient = of.program.tensor("dlandmark_q");
  of.program.kernel("probe_gradient", of.attention.keyHeads * rowTiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar row0 = cell % rowTiles * blockM;
    const Scalar keyHead = cell / rowTiles;
    Tile sum = k.fill(blockM, of.spec.headDim, 0);
    k.forRange({0, of.attention.batch}, 1, {&sum}, [&](Scalar sequence) {
      const Scalar keyPair = sequence * of.attention.keyHeads + keyHead;
      const Segments segments = probes.segmentation.of(k, firstHead(k, of, keyPair));
      const Scalar tiles = ceilDiv(segments.len, *of.positionBlocks.blockM);
      // Sums of sums: one of all segments would round each as coarsely as the whole.
      k.forRange({0, segments.count}, segmentsAtOnce, {&sum}, [&](Scalar first) {
        Tile part = k.fill(blockM, of.spec.headDim, 0);
        const Scalar end = min(first + segmentsAtOnce, segments.count);
        k.forRange({first, end}, 1, {&part}, [&](Scalar segment) {
          k.forRange({0, tiles}, 1, {&part}, [&](Scalar tile) {
            part = part + k.load(of.probesOf(k, keyPair, segment, tile), row0, blockM);
          });
        });
        sum = sum + part;
      });
    });
    const Tile scaled = sum * k.scale();
    probes.forHeads(k, row0, blockM, {}, [&](const Scalar &h) {
      k.store(scaled, k.view(gradient, {keyHead * probes.group + h}), row0 - h * of.spec.probes);
    });
  });
}

} // namespace nysjit
