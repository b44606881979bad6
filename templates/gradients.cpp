// Gradients as tensors, the rows' means of them, and the gradient of a softmax's tile.
#include "templates/gradients.h"

namespace nysjit {

//===- Rows that the forward keeps ------------------------------------------------------------===//

SavedRows::SavedRows(Program &program, const Attention &attention) {
  if (program.spec().pass == Pass::Forward)
    return;
  maximum = attention.savedNumbers(program, "row_maximum");
  share = attention.savedNumbers(program, "row_share");
  if (program.spec().convKernel && program.spec().dtype != DType::Float32)
    output = program.savedBuffer("row_output", {program.symbol("B"), attention.queryHeads,
                                                attention.rows, program.spec().headDim});
}

SavedRows SavedRows::ofRun(Program &program, const Attention &attention) {
  SavedRows rows;
  rows.maximum = attention.numbers(program, "row_maximum");
  rows.share = attention.numbers(program, "row_share");
  return rows;
}

void SavedRows::store(Kernel &k, const OnlineSoftmax &softmax, const Attention &attention,
                      const Head &head, const Scalar &i0) const {
  if (maximum.name.empty())
    return;
  k.store(softmax.maximum, attention.rowsOf(k, maximum, head), i0);
  k.store(1.0 / softmax.mass, attention.rowsOf(k, share, head), i0);
  if (!output.name.empty())
    k.store(softmax.result(), attention.rowsOf(k, output, head), i0);
}

void RowEnds::store(Kernel &k, const OnlineSoftmax &softmax, const Head &head,
                    const Scalar &i0) const {
  if (!isBackward)
    k.store(convolution.addTo(k, softmax.result(), head, i0, ahead), head.output, i0);
  saved.store(k, softmax, attention, head, i0);
}

//===- A softmax's gradient -------------------------------------------------------------------===//

Tile sharesOfLogits(const Tile &share) { return where(share == 1.0, 0.0, share); }

SoftmaxRows::SoftmaxRows(Kernel &k, const GradientRows &rows, const Scalar &i0, int count)
    : maximum(k.load(rows.maximum, i0, count)), share(k.load(rows.share, i0, count)),
      logitShare(sharesOfLogits(share)), delta(k.load(rows.delta, i0, count)) {}

/// `along` turns a number of each row of the softmax into the tile's shape.
template <typename Along>
static SoftmaxGradient gradientOf(const Tile &x, const Tile &dWeights, const SoftmaxRows &of,
                                  const TileMask &seen, const std::optional<Tile> &counts,
                                  Along along) {
  // At most 1, however x was rounded.
  Tile weight = exp2(min(x - along(of.maximum), 0.0));
  if (counts)
    weight = weight * *counts;
  const Tile ofLogits = weight * along(of.logitShare) * (dWeights - along(of.delta));
  return {where(seen, weight * along(of.share), 0.0), where(seen, ofLogits, 0.0)};
}

SoftmaxGradient SoftmaxGradient::ofRows(const Tile &x, const Tile &dWeights, const SoftmaxRows &of,
                                        const TileMask &seen, const std::optional<Tile> &counts) {
  return gradientOf(x, dWeights, of, seen, counts ? std::optional(cols(*counts)) : counts,
                    [](const Tile &each) { return rows(each); });
}

SoftmaxGradient SoftmaxGradient::ofColumns(const Tile &x, const Tile &dWeights,
                                           const SoftmaxRows &of, const TileMask &seen,
                                           const std::optional<Tile> &counts) {
  return gradientOf(x, dWeights, of, seen, counts ? std::optional(rows(*counts)) : counts,
                    [](const Tile &each) { return cols(each); });
}

void addInMemory(Kernel &k, const View &sum, const Scalar &row, const DotOperand &a, const Tile &b,
                 const DotOptions &options) {
  const int count = a.isTransposed ? a.tile.columns() : a.tile.rows();
  k.store(dotAdd(k.load(sum, row, count), a, b, options), sum, row);
  k.sync();
}

//===- Gradients ------------------------------------------------------------------------------===//

Gradients::Gradients(Program &p, const Attention &a, const SavedRows &rows, const Convolution &c,
                     int taps)
    : program(p), attention(a), saved(rows), convolution(c), ahead(taps) {
  for (auto &[name, tensor] : {std::pair("dout", &dout), {"dq", &dq}, {"dk", &dk}, {"dv", &dv}})
    *tensor = program.tensor(name);
  if (convolution.count)
    dconv = program.tensor("dconv");
  if (!saved.maximum.name.empty())
    delta = attention.numbers(program, "output_delta");
}

GradientRows Gradients::rowsOf(Kernel &k, const Head &head) const {
  auto of = [&](const TensorRef &tensor) { return attention.rowsOf(k, tensor, head); };
  return {of(dout),        of(saved.maximum),
          of(saved.share), of(delta),
          of(dq),          querySums.name.empty() ? View() : of(querySums)};
}

GradientRows GradientRows::until(Kernel &k, const Scalar &end) const {
  auto cut = [&](const View &view) { return view.irValue ? k.slice(view, 0, end) : view; };
  return {cut(dout), cut(maximum), cut(share), cut(delta), cut(dq), cut(querySum)};
}

void Gradients::allocateQuerySums() {
  querySums = program.buffer("query_sum", {program.symbol("B"), attention.queryHeads,
                                           attention.rows, program.spec().headDim});
}

View Gradients::keyRowsOf(Kernel &k, const TensorRef &tensor, const Head &head) const {
  return k.slice(k.view(tensor, {head.sequence, head.keyHead}), head.start, head.length);
}

void Gradients::writeFirst() const {
  if (!saved.output.name.empty()) {
    writeDelta("output_delta", saved.output, 1);
    return writeFirstButDelta();
  }
  // The output is float32 or of the spec's dtype, as the caller has it.
  TensorRef output = attention.output;
  const Element other = output.outputElement;
  output.outputElement = output.element;
  const bool hasOther = other != output.element;
  writeDelta("output_delta", output, hasOther ? program.symbol("o_dtype") == 0 : Scalar(1));
  output.element = output.outputElement = other;
  if (hasOther)
    writeDelta("output_delta_16", output, program.symbol("o_dtype"));
  writeFirstButDelta();
}

void Gradients::writeFirstButDelta() const {
  attention.clearPadding(program, "clear_query_gradients", {dq}, attention.queryHeads);
  attention.clearPadding(program, "clear_key_gradients", {dk, dv}, attention.keyHeads);
  if (convolution.count)
    writeTaps();
}

/// The diagonal of dO O^T.
static Tile deltaOf(Kernel &k, const Tile &dO, const Tile &o) {
  const Tile products = dot(dO, transposed(o), DotPrecision::Full);
  const Tile isOwn = cols(k.iota(o.rows())) == rows(k.iota(o.rows()));
  return rowSum(where(isOwn, products, 0.0));
}

void Gradients::storeRows(Kernel &k, const OnlineSoftmax &softmax, const Head &head,
                          const Scalar &i0) const {
  const Tile dO = k.load(attention.rowsOf(k, dout, head), i0, softmax.mass.rows());
  saved.store(k, softmax, attention, head, i0);
  k.store(deltaOf(k, dO, softmax.result()), attention.rowsOf(k, delta, head), i0);
}

/// D_i = dO_i.(O_i less its convolution), the diagonal of a product: summed in the order of
/// dP_it = dO_i.v_t, so that a row of one weight has dX = 0 to the bit.
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
    const View gradients = attention.rowsOf(k, dout, head);
    const View outputs = attention.rowsOf(k, output, head); // before the loads: one wait for both
    const Tile dO = k.load(gradients, i0, block);
    Tile o = k.load(outputs, i0, block);
    if (convolution.count && saved.output.name.empty())
      o = o - convolution.addTo(k, k.fill(block, program.spec().headDim, 0), head, i0, ahead);
    k.store(deltaOf(k, dO, o), attention.rowsOf(k, delta, head), i0);
  };
  program.kernel(kernel, heads * tiles, body, when);
}

/// dw_r = sum over i of dO_i.v_{i - r + ahead}: conv_gradient sums a part of a head's rows, a cell
/// a part; conv_gradient_sum those of all parts and sequences, a cell a query head.
void Gradients::writeTaps() const {
  constexpr int part = 256;
  constexpr int block = 32;
  constexpr int tapsOfTile = 16;
  const Scalar heads = attention.heads();
  const Scalar parts = ceilDiv(attention.maxLength, part);
  const int count = convolution.count;
  const TensorRef partial = program.buffer("conv_gradient", {heads, parts, count});
  program.kernel("conv_gradient", heads * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Scalar first = cell / heads * part;
    const View rowsOfHead = attention.rowsOf(k, dout, head);
    const View taps = k.view(partial, {head.pair, cell / heads});
    k.forRange({0, count}, 1, {}, [&](Scalar r) {
      Tile sum = k.fill(block, 0.0);
      k.forRange({first, min(first + part, head.length)}, block, {&sum}, [&](Scalar i0) {
        const Tile value = k.load(head.value, i0 - r + ahead, block);
        sum = sum + rowSum(k.load(rowsOfHead, i0, block) * value);
      });
      k.store(sumOf(sum), taps, r);
    });
  });
  program.kernel("conv_gradient_sum", attention.queryHeads, [&](Kernel &k) {
    const Scalar h = k.cell();
    k.forRange({0, count}, tapsOfTile, {}, [&](Scalar r0) {
      Tile sum = k.fill(tapsOfTile, 0.0);
      k.forRange({0, attention.batch}, 1, {&sum}, [&](Scalar b) {
        k.forRange({0, parts}, 1, {&sum}, [&](Scalar p) {
          sum = sum + k.load(k.view(partial, {b * attention.queryHeads + h, p}), r0, tapsOfTile);
        });
      });
      k.store(sum, k.view(dconv, {h}), r0);
    });
  });
}

Tile Gradients::addConvolution(Kernel &k, const Tile &dv, const Head &head,
                               const Scalar &t0) const {
  Tile sum = dv;
  if (!convolution.count)
    return sum;
  const View weights = k.view(convolution.taps, {head.queryHead});
  const View rowsOfHead = attention.rowsOf(k, dout, head);
  k.forRange({0, convolution.count}, 1, {&sum}, [&](Scalar r) {
    sum = sum + k.load(rowsOfHead, t0 + r - ahead, dv.rows()) * k.loadNumber(weights, r);
  });
  return sum;
}

void Gradients::writePositions(
    const std::string &kernel, int rowsOfTile,
    const std::function<void(Kernel &, const Head &, const Scalar &)> &body,
    const Scalar &rowsOfHead) const {
  const Scalar heads = attention.batch * attention.keyHeads;
  const Scalar tiles = ceilDiv(rowsOfHead, rowsOfTile);
  program.kernel(kernel, heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    body(k, groupOf(k, cell % heads), cell / heads * rowsOfTile);
  });
}

void Gradients::writeHeads(const std::string &kernel,
                           const std::function<void(Kernel &, const Head &)> &body) const {
  program.kernel(kernel, attention.batch * attention.keyHeads,
                 [&](Kernel &k) { body(k, groupOf(k, k.cell())); });
}

void Gradients::clearQuerySums(Kernel &k, const Head &group, const Range &rows, int block) const {
  forQueryHeads(k, group, {}, [&](const Head &head) {
    const View sums = rowsOf(k, head).querySum;
    k.forRange(rows, block, {},
               [&](Scalar i0) { k.store(k.fill(block, program.spec().headDim, 0), sums, i0); });
  });
  k.sync();
}

Head Gradients::groupOf(Kernel &k, const Scalar &pair) const {
  const Scalar group = attention.queryHeads / max(attention.keyHeads, 1);
  return headOf(k, attention,
                pair / attention.keyHeads * attention.queryHeads +
                    pair % attention.keyHeads * group);
}

void Gradients::forQueryHeads(Kernel &k, const Head &head, const Carry &carry,
                              const std::function<void(const Head &)> &body) const {
  const Scalar group = attention.queryHeads / max(attention.keyHeads, 1);
  k.forRange({0, group}, 1, carry, [&](Scalar h) { body(headOf(k, attention, head.pair + h)); });
}

} // namespace nysjit
