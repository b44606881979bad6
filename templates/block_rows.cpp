// block_rows: a cell for `split` query rows of a head, block_m at a time: dq through blocks; and
// what the rows add to the gradients of the blocks that they see, summed in the part's own memory,
// a slot for each block.
#include "templates/probe_gradients.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr double sharpness = 16;
constexpr double lnOf2 = 0.69314718055994530942;

/// What the rows of a tile have of their softmax through blocks.
struct RowsOfTile {
  const Tile &query;
  Tile dout;
  SoftmaxRows numbers;
};

/// The gradients of a tile's rows and blocks, one probe at a time.
class BlockDerivatives {
public:
  BlockDerivatives(Kernel &k, const ProbeViews &views, int probes, const RowsOfTile &of,
                   const BlockColumns &columns)
      : seen(columns.seen), l(k, views, probes, of.query, columns) {
    const Tile ofShare = exp2(min(l.top - rows(of.numbers.maximum), 0.0) + l.mean);
    weight = where(seen, ofShare * rows(of.numbers.share), 0.0);
    // Relative to the first probe's: equal values stay equal to the bit, for 16 finds every
    // difference.
    Tile first;
    const Tile firstRow = columns.firstRow(views);
    for (int p = 0; p < probes; ++p) {
      const Tile each = dot(of.dout, transposed(k.gather(views.value, firstRow + p)),
                            DotOptions(DotPrecision::TwoTerms, seen));
      if (p == 0)
        first = each;
      e.push_back(each - first);
      mean = p ? mean + l.alpha[p] * e[p] : l.alpha[p] * e[p];
    }
    mean = mean * l.share;
    ofBlock = where(seen, ofShare * rows(of.numbers.logitShare), 0.0) *
              (first + mean - rows(of.numbers.delta));
  }

  /// dl_p, natural.
  Tile logits(size_t p) const {
    const Tile sharp = ofBlock * (1.0 + (l.more[p] - l.mean) * (sharpness * lnOf2));
    const Tile each = l.alpha[p] * l.share * (sharp + weight * (e[p] - mean) * sharpness);
    return where(seen, each, 0.0);
  }
  /// P_iS alpha_p.
  Tile weights(size_t p) const { return where(seen, weight * (l.alpha[p] * l.share), 0.0); }

private:
  TileMask seen;
  BlockLogits l;
  Tile weight;         // P_iS
  std::vector<Tile> e; // e_p less the first
  Tile mean;           // e_S less the first e_p
  Tile ofBlock;        // dl_S
};

/// A part's sums of blocks.
class SlotSums {
public:
  SlotSums(Kernel &k, const ProbeGradients &gradients, const Head &head, const Segments &segments,
           const Scalar &part, const Scalar &ofCell)
      : of(gradients), probes(of.spec.probes), cell(ofCell),
        slotsOfLevels(of.slotsOfLevels(segments, part)), sums(of.partOf(k, head.pair, part)) {}

  void clear(Kernel &k) const {
    constexpr int count = 64;
    const Tile zeros = k.fill(count, of.spec.headDim, 0);
    k.forRange({0, of.slots * probes}, count, {}, [&](Scalar row) {
      k.store(zeros, sums.key, row);
      k.store(zeros, sums.value, row);
      k.store(k.fill(count, 0.0), sums.entropy, row);
    });
    k.sync();
  }

  /// Puts down what probe p has of a tile.
  void store(Kernel &k, int p, const Tile &logits, const Tile &weights) const {
    k.store(transpose(logits), tileOfProbe(k, of.tileLogits, p), 0);
    k.store(transpose(weights), tileOfProbe(k, of.tileWeights, p), 0);
  }

  /// Adds what was put down to the sums.
  void add(Kernel &k, const RowsOfTile &rows, const FarBlocks &blocks) const {
    const int all = blockColumns * probes;
    const int count = std::min(all, 64); // rows at a time
    k.sync();
    const View logitsOfTile = k.view(of.tileLogits, {cell});
    const View weightsOfTile = k.view(of.tileWeights, {cell});
    k.forRange({0, all}, count, {}, [&](Scalar row0) {
      const Tile logits = k.load(logitsOfTile, row0, count);
      const Tile weights = k.load(weightsOfTile, row0, count);
      const Tile at = rowsOf(k, blocks, row0, count);
      // What is no column's is not stored.
      TileMask used;
      if (blocks.dyadic)
        used = TileMask(Mask::rowsBelow((blocks.dyadic->count() - blocks.j0) * probes), row0);
      // Two terms: derivatives of a block's probes cancel.
      const DotOptions terms{DotPrecision::TwoTerms, used};
      const Tile key = dotAdd(k.gather(sums.key, at), logits, rows.query, terms);
      const Tile value = dotAdd(k.gather(sums.value, at), weights, rows.dout, used);
      const Tile entropy = k.gather(sums.entropy, at) + rowSum(logits);
      forRuns(k, blocks, [&](const Scalar &first, const Scalar &length, const Scalar &start) {
        k.store(key, k.slice(sums.key, first, length), row0 + start);
        k.store(value, k.slice(sums.value, first, length), row0 + start);
        k.store(entropy, k.slice(sums.entropy, first, length), row0 + start);
      });
    });
    k.sync();
  }

private:
  /// Rows c r + p of probe p.
  View tileOfProbe(Kernel &k, const TensorRef &tile, int p) const {
    const int64_t blockM = *of.rowBlocks.blockM;
    TensorRef byProbe = tile; // [cells, r, 16, block_m]
    byProbe.shape[1] = Expression(blockColumns);
    byProbe.shape.insert(byProbe.shape.begin() + 1, Expression(int64_t(probes)));
    byProbe.strides = {tile.strides[0], Expression(blockM), Expression(blockM * probes),
                       Expression(1)};
    return k.view(byProbe, {cell, p});
  }

  /// Rows of the sums that rows [row0, row0 + count) of what was put down have.
  Tile rowsOf(Kernel &k, const FarBlocks &blocks, const Scalar &row0, int count) const {
    const Tile row = k.iota(count) + row0;
    const Tile column = row / probes;
    if (!blocks.dyadic)
      return row + blocks.j0 * probes;
    const Tile slot = blocks.dyadic->numbers(column + blocks.j0, slotsOfLevels);
    return where(slot >= 0, slot * probes + (row - column * probes), -1);
  }

  /// Calls `body` for each run of rows of the sums that are side by side: those of a level.
  /// `start`: what was put down less the run's first row.
  void forRuns(Kernel &k, const FarBlocks &blocks,
               const std::function<void(const Scalar &first, const Scalar &length,
                                        const Scalar &start)> &body) const {
    if (!blocks.dyadic)
      return body(0, of.slots * probes, blocks.j0 * probes);
    k.forRange({0, blocks.dyadic->levels()}, 1, {}, [&](const Scalar &level) {
      const Range columns = blocks.dyadic->columnsOf(level);
      const Scalar first = blocks.dyadic->firstBlock(level) + select(level, slotsOfLevels);
      body(first * probes, (columns.end - columns.begin) * probes,
           (blocks.j0 - columns.begin) * probes);
    });
  }

  const ProbeGradients &of;
  int probes;
  Scalar cell;
  std::vector<Scalar> slotsOfLevels;
  BlockGradientRows sums;
};

} // namespace

void writeBlockRows(const ProbeGradients &of) {
  const int blockM = *of.rowBlocks.blockM;
  const Scalar heads = of.attention.heads();
  of.program.kernel("block_rows", heads * of.parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar part = of.parts - 1 - cell / heads; // later rows see more
    const Head head = headOf(k, of.attention, cell % heads);
    const Segments segments = of.probes.segmentation.of(k, head);
    const ProbeViews views = of.probes.views(k, head, of.probes.rowOf(1, segments.count));
    const GradientRows ofHead = of.gradients.rowsOf(k, head);
    const View farQuery = of.attention.rowsOf(k, of.farQuery, head);
    const SlotSums sums(k, of, head, segments, part, cell);
    sums.clear(k);
    const Range own{part * of.split, min((part + 1) * of.split, head.length)};
    k.forRange(own, blockM, {}, [&](Scalar i0) {
      const QueryTile rows(k, head, i0, blockM, head.length);
      const NearAndFar seen(of.spec, segments, rows);
      const RowsOfTile tile{rows.query, k.load(ofHead.dout, i0, blockM),
                            SoftmaxRows(k, ofHead, i0, blockM)};
      Tile dq = k.fill(blockM, of.spec.headDim, 0);
      forBlocks(
          k, of.probes, segments, rows, seen, blockColumns, {&dq}, [&](const FarBlocks &blocks) {
            const BlockDerivatives by(k, views, of.spec.probes, tile, blocks.columns);
            const Tile firstRow = blocks.columns.firstRow(views);
            for (int p = 0; p < of.spec.probes; ++p) {
              const Tile logits = by.logits(size_t(p));
              dq = dotAdd(dq, logits, k.gather(views.key, firstRow + p),
                          DotOptions::zeroElsewhere(blocks.columns.seen, DotPrecision::TwoTerms));
              sums.store(k, p, logits, by.weights(size_t(p)));
            }
            sums.add(k, tile, blocks);
          });
      k.store(dq, farQuery, i0);
    });
  });
}

} // namespace nysjit
