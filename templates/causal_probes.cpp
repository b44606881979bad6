// causal with learned probes. Near positions are exact; a far block S is seen through a mean of its
// r tangents that stays close to the largest:
//   alpha = softmax over p of 16 l_p(q),  l_S(q) = sum alpha_p l_p(q),  U_S(q) = sum alpha_p U_p
// and one softmax joins both. Which blocks (dyadic, b = level_width): of E segments before the near
// ones, E_l = max((E + b) / 2^l - b, 0) blocks of level l are left when the levels before have
// taken theirs, and the last of them, from 2 E_{l+1} on, are that level's.
//
// Kernels: probe_summary, probe_merge (see probes.h), and
//   causal_output  a cell for block_m query rows: one softmax over near positions, block_n at a
//                  time, and far blocks, gathered from all levels
#include "templates/probes.h"

#include <algorithm>

namespace nysjit {

namespace {

/// Far blocks of some query rows as columns of a tile.
struct BlockColumns {
  Tile row; // of their memory; below 0 where there is none
  TileMask seen;
};

/// Adds blocks to the softmax of query rows. A logit is top + more: `top` the largest tau q.khat,
/// which may be so large that the rest would be lost in it.
void addBlocks(Kernel &k, OnlineSoftmax &softmax, const std::vector<ProbeView> &probes,
               const Tile &query, const BlockColumns &columns) {
  const TileMask &seen = columns.seen;
  std::vector<Tile> more; // l_p less the top
  Tile top;
  for (const ProbeView &probe : probes) {
    const Tile key = k.gather(probe.key, columns.row);
    more.push_back(dot(query, transposed(key), DotPrecision::TwoTerms) * logitScale(k));
    top = more.size() == 1 ? more[0] : max(top, more.back());
  }
  Tile largest;
  for (size_t p = 0; p < more.size(); ++p) {
    const Tile entropy =
        k.gather(probes[p].entropy, columns.row * probes[p].entropyStep + probes[p].entropyStart);
    more[p] = more[p] - top + cols(entropy);
    largest = p ? max(largest, more[p]) : more[p];
  }
  std::vector<Tile> alpha; // not normalised: their sum is `total`
  Tile total;
  Tile mean;
  for (const Tile &each : more) {
    alpha.push_back(exp2((each - largest) * 16.0));
    total = alpha.size() == 1 ? alpha[0] : total + alpha.back();
    mean = alpha.size() == 1 ? alpha[0] * each : mean + alpha.back() * each;
  }
  const Tile x = where(seen, top, negativeInfinity);
  const Tile newMaximum = max(softmax.maximum, rowMax(x));
  const Tile shrink = exp2(softmax.maximum - newMaximum);
  const Tile share = 1.0 / total;
  const Tile weight = exp2(where(seen, top - rows(newMaximum) + mean * share, negativeInfinity));
  softmax.mass = softmax.mass * shrink + rowSum(weight);
  softmax.sum = softmax.sum * rows(shrink);
  const Tile shared = weight * share;
  for (size_t p = 0; p < probes.size(); ++p)
    softmax.sum = dotAdd(softmax.sum, where(seen, shared * alpha[p], 0.0),
                         k.gather(probes[p].value, columns.row), DotOptions::zeroElsewhere(seen));
  softmax.maximum = newMaximum;
}

/// The blocks of all levels that rows see of which the first has `least` segments before its near
/// ones, the last `most`: level by level, each in the order of its blocks.
class DyadicColumns {
public:
  DyadicColumns(const Probes &probes, const Scalar &least, const Scalar &most)
      : width(probes.spec.levelWidth), most(most) {
    auto left = [&](const Scalar &before, int level) {
      return max((before + width) / (1 << level) - width, 0);
    };
    for (int level = 0; level <= probes.topLevel(); ++level) {
      const Scalar first = 2 * left(least, level + 1);
      starts.push_back(total);
      shifts.push_back(first - total);
      total = total + (left(most, level) - first);
    }
  }
  const Scalar &count() const { return total; }

  /// Columns j0 on. Rows i0 on see all of them (`isOneSegment`), or those of their own.
  BlockColumns columns(Kernel &k, const Scalar &j0, int count, bool isOneSegment, const Scalar &i0,
                       const Segments &segments, int window) const {
    const Tile column = k.iota(count) + j0;
    Tile size = k.fill(count, Scalar(1)); // segments of a block
    Tile block = k.fill(count, shifts[0]);
    for (size_t level = 1; level < starts.size(); ++level) {
      const Tile isHere = column >= starts[level];
      size = where(isHere, 1 << level, size);
      block = where(isHere, shifts[level], block);
    }
    block = block + column;
    const Tile row = (block * 2 + 1) * size - 1;
    const Tile isThere = column < total;
    if (isOneSegment)
      return {where(isThere, row, -1), TileMask(Mask::below(total), j0)};
    // A row sees the block if the segments before its near ones are at least `from`, below `to`.
    const Tile from = (block + (1 + width)) * size - width;
    const Tile to = min((block / 2 + (1 + width)) * (size * 2) - width, most + 1);
    const Mask mask = Mask::rowsBelow(where(isThere, (to + window) * segments.len, 0))
                          .from((from + window) * segments.len);
    const Tile isComplete = (block + 1) * size <= segments.count;
    return {where(isThere & isComplete, row, -1), TileMask(mask, i0)};
  }

private:
  int width;
  Scalar most;
  Scalar total = 0;
  std::vector<Scalar> starts; // of a level's columns
  std::vector<Scalar> shifts; // from a column of the level to its block
};

} // namespace

void causalOfProbes(Program &program) {
  const KernelSpec &spec = program.spec();
  const Attention attention(program);
  const Convolution convolution(program);
  const Probes probes(program, attention);
  attention.clearPadding(program);
  probes.writeKernels();

  // Narrow tiles of keys: near positions are a triangle of a segment.
  const BlockConfig blocks = program.blocks("causal_output", {.blockM = 64, .blockN = 32});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  constexpr int columns = 16; // far blocks at a time: those of 8 to 16 levels of width 1
  const bool isOneSegment = spec.segmentLen && *spec.segmentLen % blockM == 0;
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const Segments segments = probes.segmentation.of(k, head);
    const QueryTile rows(k, head, i0, blockM, head.length);
    const NearAndFar seen(spec, segments, rows);
    std::vector<ProbeView> views;
    for (int p = 0; p < spec.probes; ++p)
      views.push_back(probes.view(k, head, p, probes.rowOf(0, segments.count)));

    OnlineSoftmax softmax(k, blockM, spec.headDim);
    if (probes.isDyadic()) {
      // Whether the tile's last rows exist changes nothing for its first.
      const DyadicColumns far(probes, seen.farEnd(i0), seen.farEnd(i0 + (blockM - 1)));
      const Scalar end = ceilDiv(far.count(), columns) * columns;
      k.forRange({0, end}, columns, softmax.carry(), [&](Scalar j0) {
        addBlocks(k, softmax, views, rows.query,
                  far.columns(k, j0, columns, isOneSegment, i0, segments, spec.window));
      });
    } else {
      const Mask far = seen.far();
      k.forTiles({0, seen.farEnd(rows.last)}, far, columns, softmax.carry(),
                 [&](Scalar j0, const TileMask &shown) {
                   addBlocks(k, softmax, views, rows.query, {k.iota(columns) + j0, shown});
                 });
    }
    addNear(k, softmax, head, rows.query, seen.near(blockN), seen.positions(), blockN);
    k.store(convolution.addTo(k, softmax.result(), head, i0), head.output, i0);
  };
  writeRowTiles(program, "causal_output", attention, attention.maxLength, blockM,
                RowOrder::LastRowFirst, body);
}

} // namespace nysjit
