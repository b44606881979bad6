// Gradients as tensors, the rows' means of them, and the gradient of a softmax's tile.
#include "templates/gradients.h"

namespace nysjit {

//===- Rows that the forward keeps ------------------------------------------------------------===//

SavedRows::SavedRows(Program &program, const Attention &attention) {
  if (program.spec().pass == Pass::Forward)
    return;
  maximum = attention.savedNumbers(program, "row_maximum");
  share = attention.savedNumbers(program, "row_share");
}

void SavedRows::store(Kernel &k, const OnlineSoftmax &softmax, const Attention &attention,
                      const Head &head, const Scalar &i0) const {
  if (maximum.name.empty())
    return;
  k.store(softmax.maximum, attention.rowsOf(k, maximum, head), i0);
  k.store(1.0 / softmax.mass, attention.rowsOf(k, share, head), i0);
}

//===- A softmax's gradient -------------------------------------------------------------------===//

SoftmaxRows::SoftmaxRows(Kernel &k, const GradientRows &rows, const Scalar &i0, int count)
    : maximum(k.load(rows.maximum, i0, count)), share(k.load(rows.share, i0, count)),
      delta(k.load(rows.delta, i0, count)) {}

template <typename Spread>
static SoftmaxGradient gradientOf(const Tile &x, const Tile &dWeights, const SoftmaxRows &numbers,
                                  const TileMask &seen, Spread spread) {
  // At most the share, however x was rounded.
  const Tile weight = exp2(min(x - spread(numbers.maximum), 0.0)) * spread(numbers.share);
  return {where(seen, weight, 0.0), where(seen, weight * (dWeights - spread(numbers.delta)), 0.0)};
}

SoftmaxGradient SoftmaxGradient::ofRows(const Tile &x, const Tile &dWeights, const SoftmaxRows &of,
                                        const TileMask &seen) {
  return gradientOf(x, dWeights, of, seen, [](const Tile &tile) { return rows(tile); });
}

SoftmaxGradient SoftmaxGradient::ofColumns(const Tile &x, const Tile &dWeights,
                                           const SoftmaxRows &of, const TileMask &seen) {
  return gradientOf(x, dWeights, of, seen, [](const Tile &tile) { return cols(tile); });
}

//===- Gradients ------------------------------------------------------------------------------===//

Gradients::Gradients(Program &p, const Attention &a, const SavedRows &rows)
    : program(p), attention(a), saved(rows) {
  for (auto &[name, tensor] : {std::pair("dout", &dout), {"dq", &dq}, {"dk", &dk}, {"dv", &dv}})
    *tensor = program.tensor(name);
  delta = attention.numbers(program, "output_delta");
}

GradientRows Gradients::rowsOf(Kernel &k, const Head &head) const {
  auto of = [&](const TensorRef &tensor) { return attention.rowsOf(k, tensor, head); };
  return {of(dout), of(saved.maximum), of(saved.share), of(delta), of(dq)};
}

View Gradients::keyRowsOf(Kernel &k, const TensorRef &tensor, const Head &head) const {
  return k.slice(k.view(tensor, {head.sequence, head.keyHead}), head.start, head.length);
}

void Gradients::writeFirst() const {
  attention.clearPadding(program, "clear_query_gradients", {dq}, attention.queryHeads);
  attention.clearPadding(program, "clear_key_gradients", {dk, dv}, attention.keyHeads);
  // The output is float32 or of the spec's dtype, as the caller has it.
  TensorRef output = attention.output;
  const Element other = output.outputElement;
  output.outputElement = output.element;
  const bool hasOther = other != output.element;
  writeDelta("output_delta", output, hasOther ? program.symbol("o_dtype") == 0 : Scalar(1));
  output.element = output.outputElement = other;
  if (hasOther)
    writeDelta("output_delta_16", output, program.symbol("o_dtype"));
}

/// D_i = dO_i.O_i, the diagonal of a product: summed in the order of dP_it = dO_i.v_t, so that a
/// row of one weight has dX = 0 to the bit.
void Gradients::writeDelta(const std::string &kernel, const TensorRef &output,
                           const Scalar &when) const {
  const BlockConfig blocks = program.blocks(kernel, {.blockM = 16});
  const int block = *blocks.blockM;
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(attention.maxLength, block);
  auto body = [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Scalar i0 = cell / heads * block;
    const Tile dO = k.load(attention.rowsOf(k, dout, head), i0, block);
    const Tile o = k.load(attention.rowsOf(k, output, head), i0, block);
    const Tile products = dot(dO, transposed(o), DotPrecision::Full);
    const Tile isOwn = cols(k.iota(block)) == rows(k.iota(block));
    k.store(rowSum(where(isOwn, products, 0.0)), attention.rowsOf(k, delta, head), i0);
  };
  program.kernel(kernel, heads * tiles, body, when);
}

void Gradients::writePositions(
    const std::string &kernel, int rowsOfTile,
    const std::function<void(Kernel &, const Head &, const Scalar &)> &body) const {
  const Scalar heads = attention.batch * attention.keyHeads;
  const Scalar tiles = ceilDiv(attention.maxLength, rowsOfTile);
  program.kernel(kernel, heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar pair = cell % heads;
    const Scalar group = attention.queryHeads / max(attention.keyHeads, 1);
    const Scalar first = pair / attention.keyHeads * attention.queryHeads +
                         pair % attention.keyHeads * group; // query head of the group
    body(k, headOf(k, attention, first), cell / heads * rowsOfTile);
  });
}

void Gradients::forQueryHeads(Kernel &k, const Head &head, const Carry &carry,
                              const std::function<void(const Head &)> &body) const {
  const Scalar group = attention.queryHeads / max(attention.keyHeads, 1);
  k.forRange({0, group}, 1, carry, [&](Scalar h) { body(headOf(k, attention, head.pair + h)); });
}

} // namespace nysjit
