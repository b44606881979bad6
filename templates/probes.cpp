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

Scalar Probes::rowOf(int level, const Scalar &block) const {
  return isDyadic() ? block * (2 << level) + ((1 << level) - 1) : block;
}

ProbeRows Probes::rowsOf(Kernel &k, const Scalar &keyPair, const Scalar &blockRow) const {
  auto view = [&](const TensorRef &tensor) { return k.view(tensor, {keyPair, blockRow}); };
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

/// [key heads, blocks, rows, d] as [key heads, rows, blocks, d].
static TensorRef byRow(TensorRef tensor) {
  std::swap(tensor.shape[1], tensor.shape[2]);
  std::swap(tensor.strides[1], tensor.strides[2]);
  return tensor;
}

ProbeView Probes::view(Kernel &k, const Head &head, int probe, const Scalar &length) const {
  const Scalar keyPair = head.sequence * attention.keyHeads + head.keyHead;
  const Scalar row = (head.queryHead - head.keyHead * group) * spec.probes + probe;
  auto rowsOf = [&](const TensorRef &tensor) {
    return k.slice(k.view(byRow(tensor), {keyPair, row}), 0, length);
  };
  TensorRef numbers = entropy;
  numbers.shape = {numbers.shape[0],
                   Expression::make(Operator::Mul, {blocks.expression(), rows.expression()})};
  numbers.strides.erase(numbers.strides.begin() + 1);
  return {rowsOf(key), rowsOf(value), k.slice(k.view(numbers, {keyPair}), 0, length * rows), row,
          rows};
}

std::vector<ProbeView> Probes::views(Kernel &k, const Head &head, const Segments &segments) const {
  std::vector<ProbeView> all;
  for (int p = 0; p < spec.probes; ++p)
    all.push_back(view(k, head, p, rowOf(0, segments.count)));
  return all;
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
