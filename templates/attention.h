// What all layouts share: the attention arguments, the sequences in them, the convolution, and the
// tiles of rows that their last kernels compute.
#pragma once
#include "templates/softmax.h"

namespace nysjit {

struct Head;

/// q [B, Hq, n, d], k and v [B, Hkv, n, d], o like q; Hkv divides Hq. A sequence is rows (start,
/// length) of them: all of one length, padded, or packed one after the other.
struct Attention {
  TensorRef query;
  TensorRef key;
  TensorRef value;
  TensorRef output;
  // Of sequences that have their own lengths, else without elements.
  TensorRef offsets;
  TensorRef lengths;
  TensorRef starts;
  Scalar batch; // sequences
  Scalar queryHeads;
  Scalar keyHeads;
  Scalar rows;      // n of the tensors
  Scalar maxLength; // no sequence is longer
  Scalar isPacked;  // 0 or 1, as the next
  Scalar hasLengths;

  explicit Attention(Program &program);
  /// (sequence, query head) pairs.
  Scalar heads() const { return batch * queryHeads; }
  Scalar isVariable() const { return isPacked | hasLengths; }
  /// The argument with each sequence's source length (see PlanSequences).
  TensorRef addSourceLengths(Program &program, const std::string &name);
  /// A kernel that writes 0 to the output's rows outside all sequences, where there can be some. Of
  /// a backward program the gradients' rows are (gradients.h).
  void clearPadding(Program &program) const;
  /// The same of any tensors that have rows of `heads` heads.
  void clearPadding(Program &program, const std::string &kernel,
                    const std::vector<TensorRef> &tensors, const Scalar &heads) const;
  /// A number for each row of a query head, [B, Hq, n], kept for the backward: see
  /// Program::savedBuffer.
  TensorRef savedNumbers(Program &program, const std::string &name) const;
  TensorRef numbers(Program &program, const std::string &name) const;
  /// The rows of a head in a tensor of queries' shape, or of `numbers`.
  View rowsOf(Kernel &k, const TensorRef &tensor, const Head &head) const;

private:
  void requireSequences(Program &program) const;
};

/// The rows of one (sequence, query head): [length, d] each.
struct Head {
  View query;
  View key;
  View value;
  View output;
  Scalar pair;
  Scalar sequence;
  Scalar queryHead;
  Scalar keyHead;
  Scalar start; // of its sequence, in the tensors' rows
  Scalar length;

  /// The head as if its sequence ended at `end`.
  Head until(Kernel &k, const Scalar &end) const;
};
/// `pair` counts sequences first, query heads within; query head h reads key/value head
/// h / (Hq / Hkv).
Head headOf(Kernel &k, const Attention &attention, const Scalar &pair);

/// The depthwise convolution of V (conv_kernel c taps a query head, 0: none).
struct Convolution {
  TensorRef taps; // [Hq, c]
  int count = 0;

  explicit Convolution(Program &program);
  /// o_i + sum over r of w_r v_{i - r + ahead} for rows i0 on; v outside its sequence is 0.
  Tile addTo(Kernel &k, const Tile &o, const Head &head, const Scalar &i0, int ahead = 0) const;
};

/// In which order a grid's cells take the tiles of a head's rows: where later rows take longer,
/// they start first.
enum class RowOrder { FirstRowFirst, LastRowFirst };

/// Writes a kernel whose cells compute `rowsOfTile` of a head's `mostRows` rows each; its body is
/// given the head and the tile's first row.
void writeRowTiles(Program &program, const std::string &kernel, const Attention &attention,
                   const Scalar &mostRows, int rowsOfTile, RowOrder order,
                   const std::function<void(Kernel &, const Head &, const Scalar &row0)> &body);

/// Queries [i0, i0 + count) of a head that has rows below `end`.
struct QueryTile {
  Scalar i0;
  Scalar isUsed; // i0 < end
  Scalar last;   // the tile's last row that exists; not looked at where the tile is not used
  Scalar end;    // one past it; 0 where the tile is not used
  Tile i;        // the rows' numbers
  Tile query;    // [count, d]

  QueryTile(Kernel &k, const Head &head, const Scalar &i0, int count, const Scalar &end);
};

} // namespace nysjit
