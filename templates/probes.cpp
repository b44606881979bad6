// The memory of blocks.
#include "templates/probes.h"

namespace nysjit {

Probes::Probes(Program &p, const Attention &a)
    : program(p), spec(p.spec()), attention(a), segmentation(p, a, {}),
      probes(p.tensor("landmark_q")), group(a.queryHeads / max(a.keyHeads, 1)),
      rows(group * spec.probes),
      blocks(isDyadic() ? 2 * segmentation.capacity() : segmentation.capacity()) {
  key = program.buffer("probe_key", {keyHeads(), blocks, rows, spec.headDim});
  value = program.buffer("probe_value", {keyHeads(), blocks, rows, spec.headDim});
  maximum = program.buffer("probe_maximum", {keyHeads(), blocks, rows});
  mass = program.buffer("probe_mass", {keyHeads(), blocks, rows});
  entropy = program.buffer("probe_entropy", {keyHeads(), blocks, rows});
}

int Probes::topLevel() const {
  int level = 0;
  while (isDyadic() && ((spec.landmarks + spec.levelWidth) >> (level + 1)) > spec.levelWidth)
    ++level;
  return level;
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

void Probes::writeKernels() const {
  writeProbeSummary(*this);
  writeProbeMerges(*this);
}

} // namespace nysjit
