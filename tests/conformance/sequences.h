// Sequences of their own lengths in every form: packed, padded, or one by itself.
#pragma once
#include "tests/conformance/conformance.h"

#include <algorithm>

namespace nysjit::conformance {

/// "packed": one after the other, with `before` rows in front and some behind; "padded": each
/// somewhere in its rows; "dense": all as long as the longest. What lies outside is NaN. `taps` of
/// a convolution.
inline Inputs sequencesIn(const std::string &form, Seeded &random,
                          const std::vector<int64_t> &lengths, const std::string &dtype = "float32",
                          int64_t taps = 0, int64_t queryHeads = 2, int64_t keyHeads = 1,
                          int64_t headDim = 32) {
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const int64_t count = static_cast<int64_t>(lengths.size());
  std::vector<int64_t> offsets{5};
  for (int64_t length : lengths)
    offsets.push_back(offsets.back() + length);
  Inputs in = randomInputs(random.generator, form == "packed" ? 1 : count, queryHeads, keyHeads,
                           form == "packed"   ? offsets.back() + 9
                           : form == "padded" ? longest + 11
                                              : longest,
                           headDim, dtype);
  if (form == "packed")
    in.cuSeqlens = offsets;
  if (form == "padded") {
    in.seqlens = lengths;
    for (int64_t length : lengths)
      in.starts.push_back(random.between(0, in.length - length));
  }
  if (form != "dense")
    in.maxLength = longest; // on GPUs, where only the caller can know
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < taps * queryHeads; ++i)
    in.conv.push_back(rounded(normal(random.generator), dtype));
  in.fillOutside(NAN);
  return in;
}

/// Sequence b of tensors like q (o too), k or v: [heads, length, d].
inline std::vector<double> partOf(const std::vector<double> &x, const Inputs &in, size_t b,
                                  int64_t heads) {
  const Sequence s = in.sequences()[b];
  std::vector<double> part;
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t t = 0; t < s.length; ++t)
      part.insert(part.end(), x.begin() + ptrdiff_t(in.rowOf(s, h, t, heads)),
                  x.begin() + ptrdiff_t(in.rowOf(s, h, t, heads)) + in.headDim);
  return part;
}

/// Sequence b by itself, dense.
inline Inputs alone(const Inputs &in, size_t b) {
  Inputs one = in;
  one.batch = 1;
  one.length = in.sequences()[b].length;
  one.cuSeqlens = one.seqlens = one.starts = {};
  one.maxLength = 0;
  one.q = partOf(in.q, in, b, in.queryHeads);
  one.k = partOf(in.k, in, b, in.keyHeads);
  one.v = partOf(in.v, in, b, in.keyHeads);
  if (!in.sourceLen.empty())
    one.sourceLen = {in.sourceLen[b]};
  return one;
}

/// The sequences of one form to where they are in another, taps and sources with them.
inline void copySequences(const Inputs &from, Inputs &to) {
  for (auto [x, y, heads] : {std::tuple(&from.q, &to.q, from.queryHeads),
                             {&from.k, &to.k, from.keyHeads},
                             {&from.v, &to.v, from.keyHeads}})
    for (size_t b = 0; b < from.sequences().size(); ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < from.sequences()[b].length; ++t)
          std::copy_n(x->begin() + ptrdiff_t(from.rowOf(from.sequences()[b], h, t, heads)),
                      from.headDim,
                      y->begin() + ptrdiff_t(to.rowOf(to.sequences()[b], h, t, heads)));
  to.conv = from.conv;
  to.sourceLen = from.sourceLen;
}

/// Other numbers up to 1e4 in q, k and v at positions `first` to `end` of sequence b.
inline void change(Seeded &random, Inputs &in, size_t b, int64_t first, int64_t end,
                   const std::string &dtype = "float32", double largestScore = 1e4,
                   double largestValue = 1e4) {
  const Sequence s = in.sequences()[b];
  for (auto [x, heads, largest] : {std::tuple(&in.q, in.queryHeads, largestScore),
                                   {&in.k, in.keyHeads, largestScore},
                                   {&in.v, in.keyHeads, largestValue}}) {
    std::uniform_real_distribution<double> large(-largest, largest);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = first; t < end; ++t)
        for (int64_t e = 0; e < in.headDim; ++e)
          (*x)[in.rowOf(s, h, t, heads) + size_t(e)] = rounded(large(random.generator), dtype);
  }
}

/// The first position of sequence b at which the bits of two outputs differ; its length if none
/// does.
inline int64_t firstDifference(const std::vector<double> &x, const std::vector<double> &y,
                               const Inputs &in, size_t b) {
  const Sequence s = in.sequences()[b];
  for (int64_t t = 0; t < s.length; ++t)
    for (int64_t h = 0; h < in.queryHeads; ++h)
      if (const size_t at = in.rowOf(s, h, t, in.queryHeads);
          std::memcmp(&x[at], &y[at], size_t(in.headDim) * sizeof x[at]) != 0)
        return t;
  return s.length;
}

} // namespace nysjit::conformance
