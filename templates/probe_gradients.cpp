// The memory of blocks' gradients.
#include "templates/probe_gradients.h"

#include <algorithm>
#include <bit>

namespace nysjit {

/// Parts are whole tiles.
static int splitOf(const BlockConfig &blocks) {
  const int blockM = *blocks.blockM;
  return (std::max(*blocks.split, 1) + blockM - 1) / blockM * blockM;
}

/// Tiles lie within a segment.
static BlockConfig positionBlocksOf(Program &program) {
  const unsigned len = unsigned(program.spec().segmentLen.value_or(64));
  const int rows = std::clamp<int>(int(std::bit_ceil(len)), 16, 64);
  BlockConfig defaults{.blockM = rows, .blockN = 64};
  if (program.spec().window == 0) // rows do not see beyond their segment one by one
    defaults.fused = 0;
  return program.blocks("position_gradient", defaults, {.hasDiagonal = true, .keepsMore = true});
}

/// Tiles of `rows` positions that a segment has, where it is as long as it may be.
static Scalar tilesOf(const KernelSpec &spec, const Attention &attention, int rows) {
  if (spec.segmentLen)
    return ceilDiv(*spec.segmentLen, rows);
  return ceilDiv(max(ceilDiv(attention.maxLength, spec.landmarks), 1), rows);
}

ProbeGradients::ProbeGradients(Program &p, const Attention &a, const Probes &of, const Gradients &g)
    : program(p), spec(p.spec()), attention(a), probes(of), gradients(g),
      rowBlocks(p.blocks("block_rows", {.blockM = 64, .split = 1024}, {.keepsMore = true})),
      positionBlocks(positionBlocksOf(p)), split(splitOf(rowBlocks)),
      parts(ceilDiv(attention.maxLength, split)), slots(probes.segmentation.capacity()),
      tiles(tilesOf(spec, attention, *positionBlocks.blockM)),
      farQuery(p.buffer("far_query_gradient",
                        {p.symbol("B"), attention.queryHeads, attention.rows, spec.headDim})),
      tileLogits(p.buffer("tile_logits", tileShape())),
      tileWeights(p.buffer("tile_weights", tileShape())) {
  if (probes.isDyadic()) {
    // The far segments of a part's first row and its last differ by `more` at most.
    const int more = int((split + *spec.segmentLen - 1) / *spec.segmentLen);
    int count = 0;
    for (int level = 0; level <= probes.topLevel(); ++level) {
      slotStarts.push_back(count);
      count += (more >> level) + 1 + spec.levelWidth + 1;
    }
    slots = count;
  }
  const Scalar heads = probes.keyHeads();
  const Scalar rows = probes.rows;
  const Scalar pairs = attention.heads();
  const Scalar slotRows = slots * spec.probes;
  partKey = program.buffer("part_key", {pairs, parts, slotRows, spec.headDim});
  partValue = program.buffer("part_value", {pairs, parts, slotRows, spec.headDim});
  partEntropy = program.buffer("part_entropy", {pairs, parts, slotRows});
  key = program.buffer("key_gradient", {heads, probes.blocks, rows, spec.headDim});
  value = program.buffer("value_gradient", {heads, probes.blocks, rows, spec.headDim});
  entropy = program.buffer("entropy_gradient", {heads, probes.blocks, rows});
  mass = program.buffer("mass_gradient", {heads, probes.blocks, rows});
  ofTiles = program.buffer("tile_probes",
                           {heads, probes.segmentation.capacity() * tiles, rows, spec.headDim});
}

std::vector<Scalar> ProbeGradients::tileShape() const {
  return {attention.heads() * parts, blockColumns * spec.probes, *rowBlocks.blockM};
}

BlockGradientRows ProbeGradients::partOf(Kernel &k, const Scalar &pair, const Scalar &part) const {
  BlockGradientRows rows;
  rows.key = k.view(partKey, {pair, part});
  rows.value = k.view(partValue, {pair, part});
  rows.entropy = k.view(partEntropy, {pair, part});
  return rows;
}

BlockGradientRows ProbeGradients::slotOf(Kernel &k, const Scalar &pair, const Scalar &part,
                                         const Scalar &slot) const {
  BlockGradientRows rows = partOf(k, pair, part);
  for (View *view : {&rows.key, &rows.value, &rows.entropy})
    *view = k.slice(*view, slot * spec.probes, spec.probes);
  return rows;
}

Scalar ProbeGradients::farEnd(const Segments &segments, const Scalar &position) const {
  return max(position / segments.len - spec.window, 0);
}

std::vector<Scalar> ProbeGradients::slotsOfLevels(const Segments &segments,
                                                  const Scalar &part) const {
  const Scalar least = farEnd(segments, part * split);
  std::vector<Scalar> first;
  for (int level = 0; level < int(slotStarts.size()); ++level)
    first.push_back(slotStarts[size_t(level)] - 2 * probes.blocksLeft(least, level + 1));
  return first;
}

Scalar ProbeGradients::firstSlot(const Segments &segments, const Scalar &part,
                                 const Scalar &size) const {
  Scalar first = 0;
  if (!probes.isDyadic())
    return first;
  const std::vector<Scalar> ofLevels = slotsOfLevels(segments, part);
  for (size_t level = 0; level < ofLevels.size(); ++level)
    first = select(size == (1 << level), ofLevels[level], first);
  return first;
}

BlockGradientRows ProbeGradients::rowsOf(Kernel &k, const Scalar &keyPair,
                                         const Scalar &blockRow) const {
  auto view = [&](const TensorRef &tensor) { return k.view(tensor, {keyPair, blockRow}); };
  return {view(key), view(value), view(entropy), view(mass)};
}

View ProbeGradients::probesOf(Kernel &k, const Scalar &keyPair, const Scalar &segment,
                              const Scalar &tile) const {
  return k.view(ofTiles, {keyPair, segment * tiles + tile});
}

void probeGradient(Program &program, const Attention &attention, const Probes &probes,
                   const SavedRows &saved, const Convolution &convolution) {
  const Gradients gradients(program, attention, saved, convolution);
  const ProbeGradients ofProbes(program, attention, probes, gradients);
  gradients.writeFirst();
  writeBlockRows(ofProbes);
  writeBlockSums(ofProbes);
  writeBlockGradients(ofProbes);
  writePositionGradient(ofProbes);
  writeProbeGradient(ofProbes);
}

} // namespace nysjit
