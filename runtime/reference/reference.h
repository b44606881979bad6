// The float64 reference of every layout: the oracle of `nysjit run --check` and of the tests. Plain
// loops, one thread, memory O(n m) for a head.
#pragma once
#include "runtime/base/result.h"
#include "runtime/reference/layouts.h"
#include "runtime/spec/spec.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace nysjit::reference {

/// Tensors are float64 in C order: q [B, Hq, n, d], k and v [B, Hkv, n, d]; packed: [total, Hq or
/// Hkv, d].
struct ReferenceInput {
  KernelSpec spec;
  double scale = 0; // tau itself; 1 / sqrt(d) is the caller's to give
  int64_t batch = 0;
  int64_t queryHeads = 0;
  int64_t keyHeads = 0;
  int64_t length = 0; // n; packed: total
  bool packed = false;
  const double *q = nullptr;
  const double *k = nullptr;
  const double *v = nullptr;
  const double *landmarkQ = nullptr; // scan learned: [Hq, m, d]; causal learned: [Hq, r, d]
  const double *landmarkK = nullptr; // scan learned: [Hkv, m, d]
  const double *conv = nullptr;      // [Hq, conv_kernel]
  const double *dout = nullptr;      // as q: the gradient of the output, which gradients() reads
  std::vector<int64_t> starts;
  std::vector<int64_t>
      lengths; // one a sequence: rows [start, start + length); both empty: all of n
  std::vector<int64_t> sourceLengths; // prefix_lm: one a sequence
};

/// The member that holds a floating input, by its name in the table of tensors; null for what is no
/// pointer here (outputs, and sequences, which are vectors).
const double *ReferenceInput::*inputTensor(std::string_view name);

/// O in q's layout; rows outside every sequence are 0 and nothing there is read. n > landmarks *
/// segment_len is an error.
Result<std::vector<double>> compute(const ReferenceInput &input);

} // namespace nysjit::reference
