// What a run is given: sequences, heads and numbers.
#pragma once
#include "tests/conformance/tensors.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// Positions [start, start + length) of batch element `element` (packed: 0).
struct Sequence {
  int64_t element;
  int64_t start;
  int64_t length;
};

/// What a run takes: row-major numbers, already rounded to the spec's dtype.
struct Inputs {
  int64_t batch = 1;
  int64_t queryHeads = 1;
  int64_t keyHeads = 1;
  int64_t length = 0;
  int64_t headDim = 0;
  std::vector<double> q;
  std::vector<double> k;
  std::vector<double> v;
  double scale = 0;
  bool swapHeads = false;
  int64_t padding = 0; // between rows: an odd number leaves them unaligned
  // Of layouts and sequences that have them. With cuSeqlens q, k, v and o are [length, heads,
  // headDim].
  std::vector<double> landmarkQ;
  std::vector<double> landmarkK;
  std::vector<double> conv;  // [Hq, m, d], [Hkv, m, d], [Hq, c]
  std::vector<double> dout;  // as q: of runs with gradients
  bool hasGradients = false; // dout is passed, be it without elements
  std::vector<double> o;     // as q: what a run finds in the output; empty: NaNs
  std::vector<int64_t> cuSeqlens;
  std::vector<int64_t> seqlens;
  std::vector<int64_t> starts;
  std::vector<int64_t> sourceLen;
  int64_t maxLength = 0;
  bool packedShape = false; // packed tensors without cuSeqlens

  bool isPacked() const { return packedShape || !cuSeqlens.empty(); }
  std::vector<int64_t> queryShape() const { return shapeOf(queryHeads); }
  std::vector<int64_t> keyShape() const { return shapeOf(keyHeads); }
  std::vector<int64_t> shapeOf(int64_t heads) const {
    return isPacked() ? std::vector<int64_t>{length, heads, headDim}
                      : std::vector<int64_t>{batch, heads, length, headDim};
  }
  /// Sequence by sequence.
  std::vector<Sequence> sequences() const {
    std::vector<Sequence> all;
    for (size_t b = 0; b + 1 < cuSeqlens.size(); ++b)
      all.push_back({0, cuSeqlens[b], cuSeqlens[b + 1] - cuSeqlens[b]});
    for (int64_t b = 0; b < (isPacked() ? 0 : batch); ++b)
      all.push_back({b, starts.empty() ? 0 : starts[size_t(b)],
                     seqlens.empty() ? length : seqlens[size_t(b)]});
    return all;
  }
  /// Where position t of a sequence's head is, in q (of queryHeads) or k and v (of keyHeads).
  size_t rowOf(const Sequence &s, int64_t h, int64_t t, int64_t heads) const {
    return static_cast<size_t>(
        (isPacked() ? (s.start + t) * heads + h : (s.element * heads + h) * length + s.start + t) *
        headDim);
  }
  /// Whether row `row` of q (of queryHeads) or k and v lies in a sequence.
  std::vector<bool> isInside(int64_t heads) const {
    std::vector<bool> inside(size_t(batch * heads * length));
    for (const Sequence &s : sequences())
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < s.length; ++t)
          inside[rowOf(s, h, t, heads) / size_t(headDim)] = true;
    return inside;
  }
  /// Sets q, k, v and dout outside the sequences.
  void fillOutside(double value) {
    for (auto [x, heads] :
         {std::pair(&q, queryHeads), {&k, keyHeads}, {&v, keyHeads}, {&dout, queryHeads}}) {
      const std::vector<bool> inside = isInside(heads);
      for (size_t i = 0; i < x->size(); ++i)
        (*x)[i] = inside[i / size_t(headDim)] ? (*x)[i] : value;
    }
  }
  /// The largest |o| there; NaN if there is one.
  double largestOutside(const std::vector<double> &o) const {
    const std::vector<bool> inside = isInside(queryHeads);
    double largest = 0;
    for (size_t i = 0; i < o.size(); ++i)
      if (!inside[i / size_t(headDim)] && !(std::fabs(o[i]) <= largest))
        largest = std::fabs(o[i]);
    return largest;
  }
  size_t index(int64_t b, int64_t h, int64_t t, int64_t e, int64_t heads) const {
    return static_cast<size_t>(((b * heads + h) * length + t) * headDim + e);
  }
};

inline Inputs randomInputs(std::mt19937 &generator, int64_t batch, int64_t queryHeads,
                           int64_t keyHeads, int64_t length, int64_t headDim,
                           const std::string &dtype = "float32", double spread = 1) {
  Inputs in{
      batch, queryHeads, keyHeads, length, headDim, {}, {}, {}, 1 / std::sqrt(double(headDim)),
      false, 0};
  std::normal_distribution<double> normal;
  auto fill = [&](std::vector<double> &x, int64_t heads, double size) {
    x.resize(static_cast<size_t>(batch * heads * length * headDim));
    for (double &value : x)
      value = rounded(size * normal(generator), dtype);
  };
  fill(in.q, queryHeads, spread);
  fill(in.k, keyHeads, spread);
  fill(in.v, keyHeads, 1);
  return in;
}

} // namespace nysjit::conformance
