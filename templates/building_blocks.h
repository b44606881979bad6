// What several layouts share: the attention arguments, heads and sequences, and the online softmax.
//
// Logits are kept in base 2: e^x = 2^(x log2 e), so each weight costs one exp2.
#pragma once
#include "compiler/builder/program.h"

namespace nysjit {

constexpr double log2OfE = 1.4426950408889634;
constexpr double negativeInfinity = -__builtin_inf();
constexpr double lowestMaximum = -1e38; // a running maximum before its first logit: finite, so that 2^(x - max) is never NaN

/// q [B, Hq, n, d], k and v [B, Hkv, n, d], o like q; Hkv divides Hq. One sequence is rows (start, length) of them.
struct Attention {
  TensorRef query, key, value, output;
  Scalar batch, queryHeads, keyHeads, length;

  explicit Attention(Program &program);
  Scalar heads() const { return batch * queryHeads; } // (batch element, query head) pairs
};

/// The rows of one (batch element, query head): [length, d] each.
struct Head {
  View query, key, value, output;
  Scalar length;
};
/// `pair` counts batch elements first, query heads within; query head h reads key/value head h / (Hq / Hkv).
Head headOf(Kernel &k, const Attention &attention, const Scalar &pair);

/// tau log2(e), which turns q.k into a base-2 logit.
Tile logitScale(Kernel &k);

/// x, with +-the largest bfloat16 in place of what overflowed: a row that may not see it gives it weight 0, and 0 times
/// infinity would tell.
Tile finite(const Tile &x);

/// softmax(x) v accumulated tile by tile: after each add,
///   maximum = max x,  mass = sum 2^(x - maximum),  sum = sum 2^(x - maximum) v      (Milakov and Gimelshein 2018)
/// A masked logit is -infinity: its weight is exactly 0, and a tile of them changes no bit.
struct OnlineSoftmax {
  Tile maximum, mass, sum;

  OnlineSoftmax(Kernel &k, int rowCount, int headDim);
  Carry carry() { return {&maximum, &mass, &sum}; }
  void add(const Tile &logits, const Tile &value);
  void merge(const OnlineSoftmax &other); // what was added to `other`
  Tile result() const; // [rows, d]
};

/// OnlineSoftmax of rows, each over one part of its positions: what one kernel leaves for the next to merge, in the order of
/// the positions. Rows are those of a head, `parts` of each.
struct PartialSums {
  TensorRef maximum, mass, sum; // [heads, parts, rows], and d

  PartialSums() = default;
  PartialSums(Program &program, const std::string &name, const Scalar &heads, const Scalar &parts, const Scalar &rows);
  /// Rows row0 on; none if `isUsed` is 0.
  void store(Kernel &k, const OnlineSoftmax &sums, const Scalar &head, const Scalar &part, const Scalar &row0, const Scalar &isUsed) const;
  /// Merges parts [0, end) of rows row0 on into `sums`.
  void mergeInto(Kernel &k, OnlineSoftmax &sums, const Scalar &head, const Scalar &end, const Scalar &row0) const;
};

/// The same without values: the base-2 logarithm of sum 2^x for each row.
struct OnlineMass {
  Tile maximum, mass;

  OnlineMass(Kernel &k, int rowCount);
  Carry carry() { return {&maximum, &mass}; }
  void add(const Tile &logits);
  Tile logOfMass() const; // [rows]
};

} // namespace nysjit
