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

Tile OnlineSoftmax::result() const { return sum * rows(1.0 / mass); }

OnlineMass::OnlineMass(Kernel &k, int rowCount) : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0)) {}

void OnlineMass::add(const Tile &logits) {
  const Tile newMaximum = max(maximum, rowMax(logits));
  mass = mass * exp2(maximum - newMaximum) + rowSum(exp2(logits - rows(newMaximum)));
  maximum = newMaximum;
}

Tile OnlineMass::logOfMass() const { return maximum + log2(mass); }

} // namespace nysjit
