// The memory of blocks.
#include "templates/probes.h"

namespace nysjit {

Probes::Probes(Program &p, const Attention &a)
    : program(p), spec(p.spec()), attention(a), segmentation(p, a, {}),
      probes(p.tensor("landmark_q")), group(a.queryHeads / max(a.keyHeads, 1)),
      rows(group * spec.probes),
      blocks(isDyadic() ? 2 * segmentation.capacity() : segmentation.capacity()) {
  key = program.savedBuffer("probe_key", {keyHeads(), blocks, rows, spec.headDim});
  value = program.savedBuffer("probe_value", {keyHeads(), blocks, rows, spec.headDim});
  maximum = program.savedBuffer("probe_maximum", {keyHeads(), blocks, rows});
  mass = program.savedBuffer("probe_mass", {keyHeads(), blocks, rows});
  entropy = program.savedBuffer("probe_entropy", {keyHeads(), blocks, rows});
}

int Probes::topLevel() const {
  int level = 0;
  while (isDyadic() && ((spec.landmarks + spec.levelWidth) >> (level + 1)) > spec.levelWidth)
    ++level;
  return level;
}

Scalar Probes::blocksLeft(const Scalar &segments, int level) const {
  return max((segments + spec.levelWidth) / (1 << level) - spec.levelWidth, 0);
}

Scalar Probes::rowOf(const Scalar &size, const Scalar &block) const {
  return isDyadic() ? block * (size * 2) + (size - 1) : block;
}

ProbeRows Probes::rowsOf(Kernel &k, const Scalar &keyPair, const Scalar &blockRow) const {
  auto view = [&](const TensorRef &tensor) { return k.view(tensor, {keyPair, blockRow}); };
  return {view(maximum), view(mass), view(entropy), view(key), view(value)};
}

View Probes::along(Kernel &k, TensorRef tensor, const Scalar &keyPair, const Scalar &probe,
                   const BlockLine &line, const Scalar &count) const {
  std::swap(tensor.shape[1], tensor.shape[2]);
  std::swap(tensor.strides[1], tensor.strides[2]);
  const Scalar step = isDyadic() ? line.size * (2 * line.step) : line.step;
  return k.every(k.view(tensor, {keyPair, probe}), step, rowOf(line.size, line.first), count);
}

ProbeRows Probes::lineOf(Kernel &k, const Scalar &keyPair, const Scalar &probe,
                         const BlockLine &line, const Scalar &count) const {
  auto view = [&](const TensorRef &tensor) {
    return along(k, tensor, keyPair, probe, line, count);
  };
  return {view(maximum), view(mass), view(entropy), view(key), view(value)};
}

void Probes::store(Kernel &k, const ProbeSums &sums, const Scalar &keyPair, const Scalar &blockRow,
                   const Scalar &row0) const {
  const ProbeRows to = rowsOf(k, keyPair, blockRow);
  for (const auto &[tile, view] : {std::pair(&sums.key, &to.key),
                                   {&sums.value, &to.value},
                                   {&sums.maximum, &to.maximum},
                                   {&sums.mass, &to.mass},
                                   {&sums.entropy, &to.entropy}})
    k.store(*tile, *view, row0);
}

/// [key heads, blocks, rows, ...] as [key heads, blocks times rows, ...].
static TensorRef flattened(TensorRef tensor) {
  tensor.shape[1] = Expression::make(Operator::Mul, {tensor.shape[1], tensor.shape[2]});
  tensor.shape.erase(tensor.shape.begin() + 2);
  tensor.strides.erase(tensor.strides.begin() + 1);
  return tensor;
}

ProbeViews Probes::views(Kernel &k, const Head &head, const Scalar &count) const {
  const Scalar keyPair = head.sequence * attention.keyHeads + head.keyHead;
  auto view = [&](const TensorRef &tensor) {
    return k.slice(k.view(flattened(tensor), {keyPair}), 0, count * rows);
  };
  const Scalar start = (head.queryHead - head.keyHead * group) * spec.probes;
  return {view(key), view(value), view(entropy), start, rows};
}

Tile Probes::queries(Kernel &k, const Scalar &firstHead, const Scalar &row0, int count) const {
  const int ofHead = spec.probes;
  Tile queries = k.fill(count, spec.headDim, 0);
  forHeads(k, row0, count, {&queries}, [&](const Scalar &h) {
    const View own = k.view(probes, {firstHead + h});
    queries = queries + k.load(own, row0 - h * ofHead, count);
  });
  return queries;
}

void Probes::forHeads(Kernel &k, const Scalar &row0, int count, const Carry &carry,
                      const std::function<void(const Scalar &)> &body) const {
  const int ofHead = spec.probes;
  const Range heads{row0 / ofHead, min((row0 + count - 1) / ofHead + 1, group)};
  k.forRange(heads, 1, carry, body);
}

void Probes::writeKernels() const {
  writeProbeSummary(*this);
  writeProbeMerges(*this);
}

} // namespace nysjit
