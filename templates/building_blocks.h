// What all layouts share: the attention arguments, the sequences in them, and the online softmax.
//
// Logits are kept in base 2: e^x = 2^(x log2 e), so each weight costs one exp2.
#pragma once
#include "compiler/tile/builder/program.h"

namespace nysjit {

constexpr double log2OfE = 1.4426950408889634;
constexpr double negativeInfinity = -__builtin_inf();
// a running maximum before its first logit: finite, so that 2^(x - max) is never NaN
constexpr double lowestMaximum = -1e38;

/// q [B, Hq, n, d], k and v [B, Hkv, n, d], o like q; Hkv divides Hq. A sequence is rows (start,
/// length) of them: all of one length, padded, or packed one after the other.
struct Attention {
  TensorRef query;
  TensorRef key;
  TensorRef value;
  TensorRef output;
  TensorRef offsets;
  TensorRef lengths;
  TensorRef starts; // of sequences that have their own lengths, else without elements
  Scalar batch;
  Scalar queryHeads;
  Scalar keyHeads; // batch: sequences
  Scalar rows;
  Scalar maxLength; // n of the tensors; no sequence is longer than maxLength
  Scalar isPacked;
  Scalar hasLengths; // 0 or 1

  explicit Attention(Program &program);
  Scalar heads() const { return batch * queryHeads; } // (sequence, query head) pairs
  Scalar isVariable() const { return max(isPacked, hasLengths); }
  /// An argument with a number for each sequence, at most its length (see PlanSequences).
  TensorRef addParts(Program &program, const std::string &name);
  /// A kernel that writes 0 to the output's rows outside all sequences, where there can be some.
  void clearPadding(Program &program) const;
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
  Scalar length;
};
/// `pair` counts sequences first, query heads within; query head h reads key/value head h / (Hq /
/// Hkv).
Head headOf(Kernel &k, const Attention &attention, const Scalar &pair);
/// The depthwise convolution of V (conv_kernel c taps a query head, 0: none).
struct Convolution {
  TensorRef taps; // [Hq, c]
  int count = 0;

  Convolution(Program &program, const Attention &attention);
  /// o_i + sum over r of w_r v_{i - r + ahead} for rows i0 on; v outside its sequence is 0.
  Tile addTo(Kernel &k, const Tile &o, const Head &head, const Scalar &i0, int ahead = 0) const;
};

/// tau log2(e), which turns q.k into a base-2 logit.
Tile logitScale(Kernel &k);

/// x, with +-the largest bfloat16 in place of what overflowed: a row that may not see it gives it
/// weight 0, and 0 times infinity would tell.
Tile finite(const Tile &x);

/// softmax(x) v accumulated tile by tile: after each add,
///   maximum = max x,  mass = sum 2^(x - maximum), sum = sum 2^(x - maximum) v (Milakov and
///                     Gimelshein 2018)
/// A masked logit is -infinity: its weight is exactly 0, and a tile of them changes no bit.
struct OnlineSoftmax {
  Tile maximum;
  Tile mass;
  Tile sum;

  OnlineSoftmax(Kernel &k, int rowCount, int headDim);
  Carry carry() { return {&maximum, &mass, &sum}; }
  void add(const Tile &logits, const Tile &value);
  void merge(const OnlineSoftmax &other); // what was added to `other`
  Tile result() const;                    // [rows, d]
};

/// OnlineSoftmax of rows, each over one part of its positions: what one kernel leaves for the next
/// to merge, in the order of the positions. Rows are those of a head, `parts` of each; `count`:
/// those there are, beyond which loads give 0.
struct PartialSums {
  TensorRef maximum;
  TensorRef mass;
  TensorRef sum; // [heads, parts, rows], and d

  PartialSums() = default;
  PartialSums(Program &program, const std::string &name, const Scalar &heads, const Scalar &parts,
              const Scalar &rows);
  void store(Kernel &k, const OnlineSoftmax &sums, const Scalar &head, const Scalar &part,
             const Scalar &row0, const Scalar &count) const;
  OnlineSoftmax load(Kernel &k, const Scalar &head, const Scalar &part, const Scalar &row0,
                     const Scalar &count, const OnlineSoftmax &shape) const;
  /// Merges parts [0, end) of rows row0 on into `sums`.
  void mergeInto(Kernel &k, OnlineSoftmax &sums, const Scalar &head, const Scalar &end,
                 const Scalar &row0, const Scalar &count) const;
};

/// The same without values: the base-2 logarithm of sum 2^x for each row.
struct OnlineMass {
  Tile maximum;
  Tile mass;

  OnlineMass(Kernel &k, int rowCount);
  Carry carry() { return {&maximum, &mass}; }
  void add(const Tile &logits);
  Tile logOfMass() const; // [rows]
};

} // namespace nysjit
