// The online softmax, and sums of it over parts of the positions.
//
// Logits are kept in base 2: e^x = 2^(x log2 e), so each weight costs one exp2.
#pragma once
#include "compiler/tile/builder/program.h"

#include <optional>

namespace nysjit {

constexpr double log2OfE = 1.4426950408889634;
constexpr double negativeInfinity = -__builtin_inf();
/// A running maximum before its first logit: finite, so that 2^(x - maximum) is never NaN.
constexpr double lowestMaximum = -1e38;

/// a / b, corrected once: exact on every device where a is a multiple of b. Equal numbers have
/// themselves as their mean: a unit in the last place of a score of 1e7 is a factor e^1.
Tile quotient(const Tile &a, const Tile &b);

/// tau log2(e), which turns q.k into a base-2 logit.
Tile logitScale(Kernel &k);

/// softmax(x) v accumulated tile by tile (Milakov and Gimelshein 2018): after each add,
///   maximum = max x,  mass = sum 2^(x - maximum),  sum = sum 2^(x - maximum) v
/// A logit that is not seen counts as -infinity: its weight is exactly 0, a tile of such changes no
/// bit, and its row of v is not used, whatever it holds.
struct OnlineSoftmax {
  Tile maximum;
  Tile mass;
  Tile sum;

  OnlineSoftmax(Kernel &k, int rowCount, int headDim);
  Carry carry() { return {&maximum, &mass, &sum}; }
  /// With `counts`, one a column, finite and not below 0, a weight is counts_j 2^(x - maximum):
  /// the sum takes j that many times, beside a logit however large.
  void add(const Tile &logits, const Tile &value, const TileMask &seen = {},
           const std::optional<Tile> &counts = {});
  /// What was added to `other`.
  void merge(const OnlineSoftmax &other);
  /// [rows, d]
  Tile result() const;
};

/// The same without values: sum 2^x for each row, its maximum and mass kept apart. As one number,
/// maximum + log2(mass), it would lose the mass beside a large maximum.
struct OnlineMass {
  Tile maximum;
  Tile mass;

  OnlineMass(Kernel &k, int rowCount);
  Carry carry() { return {&maximum, &mass}; }
  void add(const Tile &logits, const std::optional<Tile> &counts = {});
};

/// The same of weights w = 2^(x - maximum) / mass whose entropy is asked for, which is
///   log mass - excess / mass,  excess = sum 2^(x - maximum) (x - maximum)
/// Of each row of logits, or of logits that are a vector.
struct OnlineEntropy {
  Tile maximum;
  Tile mass;
  Tile excess;

  /// What a sum that goes along with the mass takes: times `shrink`, plus what `weight` weighs.
  struct Step {
    Tile weight;
    Tile shrink;
  };
  explicit OnlineEntropy(Kernel &k);
  OnlineEntropy(Kernel &k, int rowCount);
  /// `seen`: as where takes it; what is not counts as -infinity.
  Step add(const Tile &logits, const TileMask &seen);
  Step add(const Tile &logits, const Tile &seen);

private:
  template <typename Seen> Step addSeen(const Tile &logits, const Seen &seen);
};

/// Rows [row0, row0 + ...) of one head in one part of its positions. `count`: the rows there are,
/// beyond which loads give 0.
struct PartialRows {
  Scalar head;
  Scalar part;
  Scalar row0;
  Scalar count;
};

/// OnlineSoftmax of rows, each over one part of its positions: what one kernel leaves for the next
/// to merge, in the order of the positions.
struct PartialSums {
  TensorRef maximum; // [heads, parts, rows]
  TensorRef mass;
  TensorRef sum; // [heads, parts, rows, d]

  PartialSums() = default;
  PartialSums(Program &program, const std::string &name, const Scalar &heads, const Scalar &parts,
              const Scalar &rows);
  void store(Kernel &k, const OnlineSoftmax &sums, const PartialRows &at) const;
  /// As many rows as `shape` has.
  OnlineSoftmax load(Kernel &k, const PartialRows &at, const OnlineSoftmax &shape) const;
  /// Merges parts [0, end) of these rows into `sums`; `at.part` is not looked at.
  void mergeInto(Kernel &k, OnlineSoftmax &sums, const PartialRows &at, const Scalar &end) const;
};

} // namespace nysjit
