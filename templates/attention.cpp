// Attention arguments, sequences, and kernels over tiles of rows.
#include "templates/attention.h"

namespace nysjit {

//===- Arguments ------------------------------------------------------------------------------===//

Attention::Attention(Program &program)
    : queryHeads(program.symbol("Hq")), keyHeads(program.symbol("Hkv")), rows(program.symbol("n")),
      maxLength(program.symbol("max_length")), isPacked(program.symbol("is_packed")) {
  for (auto &[name, tensor] : {std::pair("q", &query), {"k", &key}, {"v", &value}, {"o", &output}})
    *tensor = program.tensor(name);
  for (auto &[name, tensor] :
       {std::pair("cu_seqlens", &offsets), {"seqlens", &lengths}, {"seq_starts", &starts}})
    *tensor = program.tensor(name);
  program.sequences() = {.offsets = "cu_seqlens",
                         .lengths = "seqlens",
                         .starts = "seq_starts",
                         .sourceLengths = "",
                         .rows = "n",
                         .maxLength = "max_length"};
  hasLengths = min(program.symbol("length_count"), 1);
  batch = select(isPacked, max(program.symbol("offset_count") - 1, 0), program.symbol("B"));
  requireSequences(program);
  program.require(min(queryHeads, 1) <= keyHeads, "k", "at least one key/value head", "{Hkv}");
  program.require(queryHeads % max(keyHeads, 1) == 0, "k",
                  "a number of key/value heads that divides the query heads ({Hq})", "{Hkv}");
  program.require(rows <= 2147483000, "q", "a length of at most 2147483000 positions", "{n}");
}

void Attention::requireSequences(Program &program) const {
  const Scalar offsetCount = program.symbol("offset_count");
  const Scalar lengthCount = program.symbol("length_count");
  const Scalar startCount = program.symbol("start_count");
  program.require(isPacked == min(offsetCount, 1), "cu_seqlens",
                  "B + 1 numbers with packed tensors [total, H, d], none with others",
                  "{offset_count}");
  program.require((lengthCount == 0) | (lengthCount == program.symbol("B")), "seqlens",
                  "{B} numbers, one a sequence, or none", "{length_count}");
  program.require(!(hasLengths & isPacked), "seqlens", "none with cu_seqlens", "{length_count}");
  program.require((startCount == 0) | (startCount == lengthCount), "seq_starts",
                  "as many numbers as seqlens ({length_count}), or none", "{start_count}");
}

TensorRef Attention::addSourceLengths(Program &program, const std::string &name) {
  program.sequences().sourceLengths = name;
  program.require(program.symbol("part_count") == batch, name, "one number for each sequence",
                  "{part_count}");
  return program.tensor(name);
}

//===- Sequences ------------------------------------------------------------------------------===//

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
  // What an argument that is not there says is 0.
  const Scalar offset = k.loadInteger(offsets, b);
  const Scalar offsetEnd = k.loadInteger(k.slice(offsets, 1, max(offsets.length - 1, 0)), b);
  const Scalar start = min(max(offset + k.loadInteger(starts, b), 0), a.rows);
  const Scalar own = offsetEnd - offset + k.loadInteger(lengths, b);
  const Scalar length = select(a.isVariable(), own, a.rows);
  return {start, min(max(length, 0), min(a.maxLength, a.rows - start))};
}

} // namespace

void Attention::clearPadding(Program &program) const {
  if (program.spec().pass != Pass::Backward)
    clearPadding(program, "clear_padding", {output}, queryHeads);
}

void Attention::clearPadding(Program &program, const std::string &kernel,
                             const std::vector<TensorRef> &tensors, const Scalar &heads) const {
  constexpr int block = 64;
  const Scalar pairs = program.symbol("B") * heads; // packed: one for all sequences
  auto body = [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar pair = cell % pairs;
    const Scalar b = pair / heads;
    const Scalar i0 = cell / pairs * block;
    const View ends = k.view(offsets, {});
    const Sequence padded = sequenceOf(k, *this, b); // of packed rows the first sequence
    const Scalar packedEnd = min(max(k.loadInteger(ends, ends.length - 1), padded.start), rows);
    const Scalar end = select(isPacked, packedEnd, padded.start + padded.length);
    const Tile zeros = k.fill(block, program.spec().headDim, 0);
    for (const TensorRef &tensor : tensors) {
      const View all = k.view(tensor, {b, pair % heads});
      k.store(zeros, k.slice(all, 0, padded.start), i0);
      k.store(zeros, k.slice(all, end, rows - end), i0 - end);
    }
  };
  program.kernel(kernel, pairs * ceilDiv(rows, block), body, isVariable());
}

TensorRef Attention::savedNumbers(Program &program, const std::string &name) const {
  return program.savedBuffer(name, {program.symbol("B"), queryHeads, rows});
}

TensorRef Attention::numbers(Program &program, const std::string &name) const {
  return program.buffer(name, {program.symbol("B"), queryHeads, rows});
}

View Attention::rowsOf(Kernel &k, const TensorRef &tensor, const Head &head) const {
  // Packed tensors have one row of sequences, with a stride of 0 where the caller passes them.
  const Scalar sequence = select(isPacked, 0, head.sequence);
  return k.slice(k.view(tensor, {sequence, head.queryHead}), head.start, head.length);
}

Head Head::until(Kernel &k, const Scalar &end) const {
  Head own = *this;
  own.length = end;
  for (View *rows : {&own.query, &own.key, &own.value})
    *rows = k.slice(*rows, 0, end);
  return own;
}

Head headOf(Kernel &k, const Attention &attention, const Scalar &pair) {
  Head head;
  head.pair = pair;
  head.sequence = pair / attention.queryHeads;
  head.queryHead = pair % attention.queryHeads;
  head.keyHead = head.queryHead / (attention.queryHeads / max(attention.keyHeads, 1));
  const Sequence rows = sequenceOf(k, attention, head.sequence);
  head.start = rows.start;
  head.length = rows.length;
  auto rowsOf = [&](const TensorRef &tensor, const Scalar &number) {
    return k.slice(k.view(tensor, {head.sequence, number}), rows.start, rows.length);
  };
  head.query = rowsOf(attention.query, head.queryHead);
  head.key = rowsOf(attention.key, head.keyHead);
  head.value = rowsOf(attention.value, head.keyHead);
  head.output = rowsOf(attention.output, head.queryHead);
  return head;
}

//===- The convolution ------------------------------------------------------------------------===//

Convolution::Convolution(Program &program) : count(program.spec().convKernel) {
  if (count)
    taps = program.tensor("conv");
}

Tile Convolution::addTo(Kernel &k, const Tile &o, const Head &head, const Scalar &i0,
                        int ahead) const {
  Tile sum = o;
  if (!count)
    return sum;
  const View weights = k.view(taps, {head.queryHead});
  k.forRange({0, count}, 1, {&sum}, [&](Scalar r) {
    const Tile value = k.load(head.value, i0 - r + ahead, o.rows());
    sum = sum + value * k.loadNumber(weights, r);
  });
  return sum;
}

//===- Tiles of rows --------------------------------------------------------------------------===//

void writeRowTiles(Program &program, const std::string &kernel, const Attention &attention,
                   const Scalar &mostRows, int rowsOfTile, RowOrder order,
                   const std::function<void(Kernel &, const Head &, const Scalar &row0)> &body) {
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(mostRows, rowsOfTile);
  program.kernel(kernel, heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar tile = cell / heads; // the tile slowest: heads side by side
    const Scalar row0 = (order == RowOrder::LastRowFirst ? tiles - 1 - tile : tile) * rowsOfTile;
    body(k, headOf(k, attention, cell % heads), row0);
  });
}

QueryTile::QueryTile(Kernel &k, const Head &head, const Scalar &first, int count,
                     const Scalar &rowsEnd)
    : i0(first), isUsed(first < rowsEnd) {
  last = min(first + count, rowsEnd) - 1;
  end = select(isUsed, min(first + count, rowsEnd), 0);
  i = first + k.iota(count);
  query = k.load(k.slice(head.query, 0, rowsEnd), first, count);
}

} // namespace nysjit
