// Attention arguments and the online softmax.
#include "templates/building_blocks.h"

namespace nysjit {

Attention::Attention(Program &program)
    : batch(program.symbol("B")), queryHeads(program.symbol("Hq")), keyHeads(program.symbol("Hkv")), length(program.symbol("n")) {
  const Expression B = batch.expression(), Hq = queryHeads.expression(), Hkv = keyHeads.expression(), n = length.expression();
  const Expression d(program.spec().headDim);
  query = program.input("q", {B, Hq, n, d});
  key = program.input("k", {B, Hkv, n, d});
  value = program.input("v", {B, Hkv, n, d});
  output = program.output("o", {B, Hq, n, d});
  program.require(min(queryHeads, 1) <= keyHeads, "k", "at least one key/value head", "{Hkv}");
  program.require(queryHeads % max(keyHeads, 1) == 0, "k", "a number of key/value heads that divides the query heads ({Hq})", "{Hkv}");
  program.require(length <= 2147483000, "q", "a length of at most 2147483000 positions", "{n}");
}

Head headOf(Kernel &k, const Attention &attention, const Scalar &pair) {
  const Scalar b = pair / attention.queryHeads, h = pair % attention.queryHeads;
  const Scalar keyHead = h / (attention.queryHeads / max(attention.keyHeads, 1));
  return {k.view(attention.query, {b, h}), k.view(attention.key, {b, keyHead}), k.view(attention.value, {b, keyHead}),
          k.view(attention.output, {b, h}), attention.length};
}

Tile logitScale(Kernel &k) { return k.scale() * log2OfE; }

Tile finite(const Tile &x) {
  constexpr double largest = 0x1.fep127; // bfloat16's: no rounding of a kernel's overflows it
  return where(x <= largest, max(x, -largest), largest); // a NaN is not <= anything
}

OnlineSoftmax::OnlineSoftmax(Kernel &k, int rowCount, int headDim)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0)), sum(k.fill(rowCount, headDim, 0)) {}

void OnlineSoftmax::add(const Tile &logits, const Tile &value) {
  const Tile newMaximum = max(maximum, rowMax(logits));
  const Tile shrink = exp2(maximum - newMaximum);
  const Tile weight = exp2(logits - rows(newMaximum));
  mass = mass * shrink + rowSum(weight);
  sum = dotAdd(sum * rows(shrink), weight, value);
  maximum = newMaximum;
}

void OnlineSoftmax::merge(const OnlineSoftmax &other) {
  const Tile newMaximum = max(maximum, other.maximum);
  const Tile shrink = exp2(maximum - newMaximum), shrinkOther = exp2(other.maximum - newMaximum);
  mass = mass * shrink + other.mass * shrinkOther;
  sum = sum * rows(shrink) + other.sum * rows(shrinkOther);
  maximum = newMaximum;
}

Tile OnlineSoftmax::result() const { return sum * rows(1.0 / mass); }

PartialSums::PartialSums(Program &program, const std::string &name, const Scalar &heads, const Scalar &parts, const Scalar &rows)
    : maximum(program.buffer(name + "_maximum", {heads, parts, rows})), mass(program.buffer(name + "_mass", {heads, parts, rows})),
      sum(program.buffer(name + "_sum", {heads, parts, rows, program.spec().headDim})) {}

void PartialSums::store(Kernel &k, const OnlineSoftmax &sums, const Scalar &head, const Scalar &part, const Scalar &row0, const Scalar &isUsed) const {
  auto rows = [&](const TensorRef &tensor) {
    const View all = k.view(tensor, {head, part});
    return k.slice(all, 0, all.length * isUsed);
  };
  k.store(sums.maximum, rows(maximum), row0);
  k.store(sums.mass, rows(mass), row0);
  k.store(sums.sum, rows(sum), row0);
}

void PartialSums::mergeInto(Kernel &k, OnlineSoftmax &sums, const Scalar &head, const Scalar &end, const Scalar &row0) const {
  k.forRange({0, end}, 1, sums.carry(), [&](Scalar part) {
    OnlineSoftmax other = sums;
    other.maximum = k.load(k.view(maximum, {head, part}), row0, sums.maximum.rows());
    other.mass = k.load(k.view(mass, {head, part}), row0, sums.mass.rows());
    other.sum = k.load(k.view(sum, {head, part}), row0, sums.sum.rows());
    sums.merge(other);
  });
}

OnlineMass::OnlineMass(Kernel &k, int rowCount) : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0)) {}

void OnlineMass::add(const Tile &logits) {
  const Tile newMaximum = max(maximum, rowMax(logits));
  mass = mass * exp2(maximum - newMaximum) + rowSum(exp2(logits - rows(newMaximum)));
  maximum = newMaximum;
}

Tile OnlineMass::logOfMass() const { return maximum + log2(mass); }

} // namespace nysjit
