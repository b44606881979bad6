// causal with learned probes. Near positions are exact; a far block S is seen through a mean of its
// r tangents that stays close to the largest:
//   alpha = softmax over p of 16 l_p(q),  l_S(q) = sum alpha_p l_p(q),  U_S(q) = sum alpha_p U_p
// and one softmax joins both. Which blocks: probe_columns.h.
//
// Kernels: probe_summary, probe_merge (see probes.h), and
//   causal_output  a cell for block_m query rows: one softmax over near positions, block_n at a
//                  time, and far blocks, gathered from all levels
#include "templates/probe_columns.h"
#include "templates/probe_gradients.h"

namespace nysjit {

/// Adds blocks to the softmax of query rows.
static void addBlocks(Kernel &k, OnlineSoftmax &softmax, const ProbeViews &views, int probes,
                      const Tile &query, const BlockColumns &columns) {
  const TileMask &seen = columns.seen;
  const BlockLogits logits(k, views, probes, query, columns);
  const Tile x = where(seen, logits.top, negativeInfinity);
  const Tile newMaximum = max(softmax.maximum, rowMax(x));
  const Tile shrink = exp2(softmax.maximum - newMaximum);
  const Tile weight =
      exp2(where(seen, logits.top - rows(newMaximum) + logits.mean, negativeInfinity));
  softmax.sum = softmax.sum * rows(shrink);
  const Tile shared = weight * logits.share;
  const Tile firstRow = columns.firstRow(views);
  Tile all; // of a block's probes, the same numbers that multiply U
  for (int p = 0; p < probes; ++p) {
    const Tile each = roundOperand(where(seen, shared * logits.alpha[p], 0.0));
    all = p ? all + each : each;
    softmax.sum = dotAdd(softmax.sum, each, k.gather(views.value, firstRow + p),
                         DotOptions::zeroElsewhere(seen));
  }
  softmax.mass = softmax.mass * shrink + rowSum(all);
  softmax.maximum = newMaximum;
}

void causalOfProbes(Program &program) {
  const KernelSpec &spec = program.spec();
  const Attention attention(program);
  const Convolution convolution(program);
  const SavedRows saved(program, attention);
  const Probes probes(program, attention);
  const RowEnds ends(spec, attention, saved, convolution);
  attention.clearPadding(program);

  // Narrow tiles of keys: near positions are a triangle of a segment.
  const BlockConfig blocks = program.blocks("causal_output", {.blockM = 64, .blockN = 32},
                                            {.hasDiagonal = true, .hasManyLogits = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  // Far blocks at a time: those of 8 to 16 levels of width 1.
  const int columns = program.columns(blockColumns, {.areManyTiles = true});
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const Segments segments = probes.segmentation.of(k, head);
    const QueryTile rows(k, head, i0, blockM, head.length);
    const NearAndFar seen(spec, segments, rows);
    const ProbeViews views = probes.views(k, head, probes.rowOf(1, segments.count));

    OnlineSoftmax softmax(k, blockM, spec.headDim);
    const auto add = [&](const FarBlocks &far) {
      addBlocks(k, softmax, views, spec.probes, rows.query, far.columns);
    };
    forBlocks(k, probes, segments, rows, seen, columns, softmax.carry(), add);
    addNear(k, softmax, head, rows.query, seen.near(blockN), seen.positions(), blockN);
    ends.store(k, softmax, head, i0);
  };
  program.writeForward([&] {
    probes.writeKernels();
    writeRowTiles(program, "causal_output", attention, attention.maxLength, blockM,
                  RowOrder::LastRowFirst, body);
  });
  if (ends.isBackward)
    probeGradient(program, attention, probes, saved, convolution);
}

} // namespace nysjit
