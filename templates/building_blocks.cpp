// Attention arguments and the online softmax.
#include "templates/building_blocks.h"

namespace nysjit {

Attention::Attention(Program &program)
    : queryHeads(program.symbol("Hq")), keyHeads(program.symbol("Hkv")), rows(program.symbol("n")),
      maxLength(program.symbol("max_length")), isPacked(program.symbol("is_packed")) {
  const Scalar B = program.symbol("B");
  const Scalar offsetCount = program.symbol("offset_count");
  const Scalar lengthCount = program.symbol("length_count");
  const Expression b = B.expression();
  const Expression Hq = queryHeads.expression();
  const Expression Hkv = keyHeads.expression();
  const Expression n = rows.expression();
  const Expression d(program.spec().headDim);
  query = program.input("q", {b, Hq, n, d}, "is_packed");
  key = program.input("k", {b, Hkv, n, d}, "is_packed");
  value = program.input("v", {b, Hkv, n, d}, "is_packed");
  output = program.output("o", {b, Hq, n, d}, "is_packed");
  offsets = program.integers("cu_seqlens", offsetCount.expression(), /*isOptional=*/true);
  lengths = program.integers("seqlens", lengthCount.expression(), /*isOptional=*/true);
  starts = program.integers("seq_starts", Expression::symbol("start_count"), /*isOptional=*/true);
  program.sequences() = {.offsets = "cu_seqlens",
                         .lengths = "seqlens",
                         .starts = "seq_starts",
                         .sourceLengths = "",
                         .rows = "n",
                         .maxLength = "max_length"};
  hasLengths = min(lengthCount, 1);
  batch = isPacked * max(offsetCount - 1, 0) + (1 - isPacked) * B;
  program.require(isPacked == min(offsetCount, 1), "cu_seqlens",
                  "B + 1 numbers with packed tensors [total, H, d], none with others",
                  "{offset_count}");
  program.require(min(lengthCount, 1) * (lengthCount == B) == min(lengthCount, 1), "seqlens",
                  "{B} numbers, one a sequence, or none", "{length_count}");
  program.require(hasLengths + isPacked <= 1, "seqlens", "none with cu_seqlens", "{length_count}");
  program.require(
      min(program.symbol("start_count"), 1) * (program.symbol("start_count") == lengthCount) ==
          min(program.symbol("start_count"), 1),
      "seq_starts", "as many numbers as seqlens ({length_count}), or none", "{start_count}");
  program.require(min(queryHeads, 1) <= keyHeads, "k", "at least one key/value head", "{Hkv}");
  program.require(queryHeads % max(keyHeads, 1) == 0, "k",
                  "a number of key/value heads that divides the query heads ({Hq})", "{Hkv}");
  program.require(rows <= 2147483000, "q", "a length of at most 2147483000 positions", "{n}");
}

TensorRef Attention::addParts(Program &program, const std::string &name) {
  const Scalar count = program.symbol("part_count");
  program.sequences().sourceLengths = name;
  program.require(count == batch, name, "one number for each sequence", "{part_count}");
  return program.integers(name, count.expression(), /*isOptional=*/false);
}

namespace {
/// Rows of a sequence. Numbers that lie on a GPU may say anything: rows that are not there are cut
/// off.
struct Sequence {
  Scalar start;
  Scalar length;
};
Sequence sequenceOf(Kernel &k, const Attention &a, const Scalar &b) {
  const View offsets = k.view(a.offsets, {});
  const View lengths = k.view(a.lengths, {});
  const View starts = k.view(a.starts, {});
  const Scalar offset = k.loadInteger(offsets, b);
  const Scalar offsetEnd = k.loadInteger(k.slice(offsets, 1, max(offsets.length - 1, 0)), b);
  const Scalar start = min(max(offset + k.loadInteger(starts, b), 0), a.rows);
  const Scalar length =
      offsetEnd - offset + k.loadInteger(lengths, b) + (1 - a.isVariable()) * a.rows;
  return {start, min(max(length, 0), min(a.maxLength, a.rows - start))};
}
} // namespace

void Attention::clearPadding(Program &program) const {
  constexpr int block = 64;
  const Scalar pairs = program.symbol("B") * queryHeads; // packed: one for all sequences
  program.kernel(
      "clear_padding", pairs * ceilDiv(rows, block),
      [&](Kernel &k) {
        const Scalar id = k.programId();
        const Scalar pair = id % pairs;
        const Scalar b = pair / queryHeads;
        const Scalar i0 = id / pairs * block;
        const View all = k.view(output, {b, pair % queryHeads});
        const View ends = k.view(offsets, {});
        const Sequence padded = sequenceOf(k, *this, b); // of packed rows the first sequence
        const Scalar end =
            isPacked * min(max(k.loadInteger(ends, ends.length - 1), padded.start), rows) +
            (1 - isPacked) * (padded.start + padded.length);
        const Tile zeros = k.fill(block, program.spec().headDim, 0);
        k.store(zeros, k.slice(all, 0, padded.start), i0);
        k.store(zeros, k.slice(all, end, rows - end), i0 - end);
      },
      isVariable());
}

Head headOf(Kernel &k, const Attention &attention, const Scalar &pair) {
  const Scalar b = pair / attention.queryHeads;
  const Scalar h = pair % attention.queryHeads;
  const Scalar keyHead = h / (attention.queryHeads / max(attention.keyHeads, 1));
  const Sequence rows = sequenceOf(k, attention, b);
  auto of = [&](const TensorRef &tensor, const Scalar &head) {
    return k.slice(k.view(tensor, {b, head}), rows.start, rows.length);
  };
  return {of(attention.query, h),
          of(attention.key, keyHead),
          of(attention.value, keyHead),
          of(attention.output, h),
          pair,
          b,
          h,
          keyHead,
          rows.length};
}

Convolution::Convolution(Program &program, const Attention &attention)
    : count(program.spec().convKernel) {
  if (count)
    taps = program.input("conv", {attention.queryHeads.expression(), Expression(count)});
}

Tile Convolution::addTo(Kernel &k, const Tile &o, const Head &head, const Scalar &i0,
                        int ahead) const {
  Tile sum = o;
  if (!count)
    return sum;
  const View weights = k.view(taps, {head.queryHead});
  k.forRange({0, count}, 1, {&sum}, [&](Scalar r) {
    sum = sum + k.load(head.value, i0 - r + ahead, o.rows()) * k.loadNumber(weights, r);
  });
  return sum;
}

Tile logitScale(Kernel &k) { return k.scale() * log2OfE; }

Tile finite(const Tile &x) {
  constexpr double largest = 0x1.fep127; // bfloat16's: no rounding of a kernel's overflows it
  return where(x <= largest, max(x, -largest), largest); // a NaN is not <= anything
}

OnlineSoftmax::OnlineSoftmax(Kernel &k, int rowCount, int headDim)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0)),
      sum(k.fill(rowCount, headDim, 0)) {}

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
  const Tile shrink = exp2(maximum - newMaximum);
  const Tile shrinkOther = exp2(other.maximum - newMaximum);
  mass = mass * shrink + other.mass * shrinkOther;
  sum = sum * rows(shrink) + other.sum * rows(shrinkOther);
  maximum = newMaximum;
}

Tile OnlineSoftmax::result() const { return sum * rows(1.0 / mass); }

PartialSums::PartialSums(Program &program, const std::string &name, const Scalar &heads,
                         const Scalar &parts, const Scalar &rows)
    : maximum(program.buffer(name + "_maximum", {heads, parts, rows})),
      mass(program.buffer(name + "_mass", {heads, parts, rows})),
      sum(program.buffer(name + "_sum", {heads, parts, rows, program.spec().headDim})) {}

static View rowsOf(Kernel &k, const TensorRef &tensor, const Scalar &head, const Scalar &part,
                   const Scalar &count) {
  return k.slice(k.view(tensor, {head, part}), 0, count);
}

void PartialSums::store(Kernel &k, const OnlineSoftmax &sums, const Scalar &head,
                        const Scalar &part, const Scalar &row0, const Scalar &count) const {
  k.store(sums.maximum, rowsOf(k, maximum, head, part, count), row0);
  k.store(sums.mass, rowsOf(k, mass, head, part, count), row0);
  k.store(sums.sum, rowsOf(k, sum, head, part, count), row0);
}

OnlineSoftmax PartialSums::load(Kernel &k, const Scalar &head, const Scalar &part,
                                const Scalar &row0, const Scalar &count,
                                const OnlineSoftmax &shape) const {
  OnlineSoftmax loaded = shape;
  loaded.maximum = k.load(rowsOf(k, maximum, head, part, count), row0, shape.maximum.rows());
  loaded.mass = k.load(rowsOf(k, mass, head, part, count), row0, shape.mass.rows());
  loaded.sum = k.load(rowsOf(k, sum, head, part, count), row0, shape.sum.rows());
  return loaded;
}

void PartialSums::mergeInto(Kernel &k, OnlineSoftmax &sums, const Scalar &head, const Scalar &end,
                            const Scalar &row0, const Scalar &count) const {
  k.forRange({0, end}, 1, sums.carry(),
             [&](Scalar part) { sums.merge(load(k, head, part, row0, count, sums)); });
}

OnlineMass::OnlineMass(Kernel &k, int rowCount)
    : maximum(k.fill(rowCount, lowestMaximum)), mass(k.fill(rowCount, 0)) {}

void OnlineMass::add(const Tile &logits) {
  const Tile newMaximum = max(maximum, rowMax(logits));
  mass = mass * exp2(maximum - newMaximum) + rowSum(exp2(logits - rows(newMaximum)));
  maximum = newMaximum;
}

Tile OnlineMass::logOfMass() const { return maximum + log2(mass); }

} // namespace nysjit
