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
  return program.blocks("position_gradient", defaults,
                        {.hasDiagonal = true, .keepsMore = true, .keepsTwoSums = true});
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
    slotStarts.push_back(count);
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

Range ProbeGradients::slotsOf(int level) const {
  if (!probes.isDyadic())
    return {0, slots};
  return {slotStarts[size_t(level)], slotStarts[size_t(level) + 1]};
}

BlockGradientRows ProbeGradients::halvesOf(Kernel &k, const Scalar &pair, const Scalar &part,
                                           const Scalar &probe, const Range &slotsOfLevel,
                                           const Scalar &which) const {
  const Scalar first = which + slotsOfLevel.begin;
  const Scalar count = slotsOfLevel.end - slotsOfLevel.begin;
  // [query heads, parts, rows, ...] as [query heads, parts, rows, every other slot, ...]
  auto view = [&](TensorRef tensor) {
    const Expression step(int64_t(2 * spec.probes));
    tensor.shape.insert(tensor.shape.begin() + 3, tensor.shape[2]);
    tensor.strides.insert(tensor.strides.begin() + 3,
                          Expression::make(Operator::Mul, {tensor.strides[2], step}));
    return k.slice(k.view(tensor, {pair, part, probe + first * spec.probes}), 0,
                   (count + 1 - which) / 2);
  };
  BlockGradientRows rows;
  rows.key = view(partKey);
  rows.value = view(partValue);
  rows.entropy = view(partEntropy);
  return rows;
}

Scalar ProbeGradients::farEnd(const Segments &segments, const Scalar &position) const {
  return max(position / segments.len - spec.window, 0);
}

Scalar ProbeGradients::firstWhole(const Segments &segments, const Scalar &part, int level) const {
  return probes.isDyadic() ? probes.blocksLeft(farEnd(segments, part * split), level + 1) : 0;
}

std::vector<Scalar> ProbeGradients::slotsOfLevels(const Segments &segments,
                                                  const Scalar &part) const {
  std::vector<Scalar> first;
  for (int level = 0; level + 1 < int(slotStarts.size()); ++level)
    first.push_back(slotStarts[size_t(level)] - 2 * firstWhole(segments, part, level));
  return first;
}

BlockGradientRows ProbeGradients::rowsOf(Kernel &k, const Scalar &keyPair,
                                         const Scalar &blockRow) const {
  auto view = [&](const TensorRef &tensor) { return k.view(tensor, {keyPair, blockRow}); };
  return {view(key), view(value), view(entropy), view(mass)};
}

BlockGradientRows ProbeGradients::lineOf(Kernel &k, const Scalar &keyPair, const Scalar &probe,
                                         const BlockLine &line, const Scalar &count) const {
  auto view = [&](const TensorRef &tensor) {
    return probes.along(k, tensor, keyPair, probe, line, count);
  };
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
  writeBlockGradients(ofProbes);
  writePositionGradient(ofProbes);
  writeProbeGradient(ofProbes);
}

} // namespace nysjit
