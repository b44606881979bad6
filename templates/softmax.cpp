// The online softmax.
#include "templates/softmax.h"

namespace nysjit {

Tile quotient(const Tile &a, const Tile &b) {
  const Tile share = 1.0 / b;
  const Tile first = a * share;
  return first + (a - first * b) * share;
}

Tile logitScale(Kernel &k) { return k.scale() * log2OfE; }

//===- OnlineSoftmax --------------------------------------------------------------------------===//

OnlineSoftmax::OnlineSoftmax(Kernel &k, int rowCount, int headDim)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0.0)),
      sum(k.fill(rowCount, headDim, 0)) {}

static Tile weightsOf(const Tile &x, const Tile &maximum, const std::optional<Tile> &counts) {
  const Tile weight = exp2(x - rows(maximum));
  return counts ? weight * cols(*counts) : weight;
}

void OnlineSoftmax::add(const Tile &logits, const Tile &value, const TileMask &seen,
                        const std::optional<Tile> &counts) {
  const Tile x = where(seen, logits, negativeInfinity);
  const Tile newMaximum = max(maximum, rowMax(x));
  const Tile shrink = exp2(maximum - newMaximum);
  // The sum's weights and the mass's are the same numbers: equal values are their own mean.
  const Tile weight = roundOperand(weightsOf(x, newMaximum, counts));
  mass = mass * shrink + rowSum(weight);
  sum = dotAdd(sum * rows(shrink), weight, value, DotOptions::zeroElsewhere(seen));
  maximum = newMaximum;
}

void OnlineSoftmax::merge(const OnlineSoftmax &other) {
  const Tile newMaximum = max(maximum, other.maximum);
  const Tile shrink = exp2(maximum - newMaximum);
  const Tile shrinkOther = exp2(other.maximum - newMaximum);
  mass = mass * shrink + other.mass * shrinkOther;
  sum = sum * rows(shrink) + other.sum * rows(shrinkOther);
  maximum = newMaximum;
}

Tile OnlineSoftmax::result() const { return sum * rows(1.0 / mass); }

OnlineMass::OnlineMass(Kernel &k, int rowCount)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0.0)) {}

void OnlineMass::add(const Tile &logits, const std::optional<Tile> &counts) {
  const Tile newMaximum = max(maximum, rowMax(logits));
  mass = mass * exp2(maximum - newMaximum) + rowSum(weightsOf(logits, newMaximum, counts));
  maximum = newMaximum;
}

//===- OnlineEntropy --------------------------------------------------------------------------===//

OnlineEntropy::OnlineEntropy(Kernel &k)
    : maximum(k.number(lowestMaximum)), mass(k.number(0.0)), excess(k.number(0.0)) {}

OnlineEntropy::OnlineEntropy(Kernel &k, int rowCount)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0.0)),
      excess(k.fill(rowCount, 0.0)) {}

template <typename Seen>
OnlineEntropy::Step OnlineEntropy::addSeen(const Tile &logits, const Seen &seen) {
  const bool isOne = logits.rank() == 1;
  const Tile x = where(seen, logits, negativeInfinity);
  const Tile newMaximum = max(maximum, isOne ? maxOf(x) : rowMax(x));
  const Tile along = isOne ? newMaximum : rows(newMaximum);
  const Tile shrink = exp2(maximum - newMaximum);
  const Tile weight = exp2(x - along);
  // The excess moves with the maximum; what is not there adds 0 rather than 0 * infinity.
  const Tile below = where(seen, x - along, 0.0);
  const Tile moved = max(maximum - newMaximum, -1e30);
  const auto sum = [&](const Tile &each) { return isOne ? sumOf(each) : rowSum(each); };
  excess = (excess + mass * moved) * shrink + sum(weight * below);
  mass = mass * shrink + sum(weight);
  maximum = newMaximum;
  return {weight, shrink};
}

OnlineEntropy::Step OnlineEntropy::add(const Tile &logits, const TileMask &seen) {
  return addSeen(logits, seen);
}

OnlineEntropy::Step OnlineEntropy::add(const Tile &logits, const Tile &seen) {
  return addSeen(logits, seen);
}

//===- PartialSums ----------------------------------------------------------------------------===//

PartialSums::PartialSums(Program &program, const std::string &name, const Scalar &heads,
                         const Scalar &parts, const Scalar &rows)
    : maximum(program.buffer(name + "_maximum", {heads, parts, rows})),
      mass(program.buffer(name + "_mass", {heads, parts, rows})),
      sum(program.buffer(name + "_sum", {heads, parts, rows, program.spec().headDim})) {}

static View rowsOf(Kernel &k, const TensorRef &tensor, const PartialRows &at) {
  return k.slice(k.view(tensor, {at.head, at.part}), 0, at.count);
}

void PartialSums::store(Kernel &k, const OnlineSoftmax &sums, const PartialRows &at) const {
  k.store(sums.maximum, rowsOf(k, maximum, at), at.row0);
  k.store(sums.mass, rowsOf(k, mass, at), at.row0);
  k.store(sums.sum, rowsOf(k, sum, at), at.row0);
}

OnlineSoftmax PartialSums::load(Kernel &k, const PartialRows &at,
                                const OnlineSoftmax &shape) const {
  OnlineSoftmax loaded = shape;
  loaded.maximum = k.load(rowsOf(k, maximum, at), at.row0, shape.maximum.rows());
  loaded.mass = k.load(rowsOf(k, mass, at), at.row0, shape.mass.rows());
  loaded.sum = k.load(rowsOf(k, sum, at), at.row0, shape.sum.rows());
  return loaded;
}

void PartialSums::mergeInto(Kernel &k, OnlineSoftmax &sums, const PartialRows &at,
                            const Scalar &end) const {
  k.forRange({0, end}, 1, sums.carry(),
             [&](Scalar part) { sums.merge(load(k, {at.head, part, at.row0, at.count}, sums)); });
}

} // namespace nysjit
