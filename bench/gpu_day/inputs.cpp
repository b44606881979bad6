// Random inputs of a case: normal numbers, sequences dense, packed or padded.
#include "bench/gpu_day/steps.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace nysjit::gpu_day {

using conformance::Inputs;

namespace {

void fillNormal(std::vector<double> &numbers, int64_t count, const std::string &dtype,
                std::mt19937 &random) {
  std::normal_distribution<double> normal;
  numbers.resize(static_cast<size_t>(count));
  for (double &number : numbers)
    number = conformance::rounded(normal(random), dtype);
}

} // namespace

Inputs inputsOf(const ConformanceCase &one, unsigned seed) {
  std::mt19937 random(seed);
  const std::string dtype = one.spec.value("dtype", "float32");
  const int64_t headDim = one.spec["head_dim"];
  const int64_t longest = *std::max_element(one.lengths.begin(), one.lengths.end());
  const auto count = static_cast<int64_t>(one.lengths.size());
  const bool isPacked = one.form == "packed";
  const int64_t before = 5; // rows in front of the first sequence
  const int64_t behind = 9;
  const int64_t rows =
      isPacked ? std::accumulate(one.lengths.begin(), one.lengths.end(), before) + behind
               : longest + (one.form == "padded" ? before + behind : 0);
  Inputs in = conformance::randomInputs(random, isPacked ? 1 : count, one.queryHeads, one.keyHeads,
                                        rows, headDim, dtype);
  if (isPacked) {
    in.cuSeqlens = {before};
    for (int64_t length : one.lengths)
      in.cuSeqlens.push_back(in.cuSeqlens.back() + length);
  } else if (one.form == "padded") {
    in.seqlens = one.lengths;
    for (size_t i = 0; i < one.lengths.size(); ++i)
      in.starts.push_back(static_cast<int64_t>(i) % before);
  }
  if (one.form != "dense")
    in.maxLength = longest;
  if (one.spec["layout"] == "prefix_lm")
    for (int64_t length : one.lengths)
      in.sourceLen.push_back(length / 3);
  if (one.spec.value("landmark_source", "") == "learned") {
    const int64_t size = one.spec["landmarks"].get<int64_t>() * headDim;
    fillNormal(in.landmarkQ, one.queryHeads * size, dtype, random);
    fillNormal(in.landmarkK, one.keyHeads * size, dtype, random);
  }
  fillNormal(in.conv, one.queryHeads * one.spec.value("conv_kernel", 0), dtype, random);
  if (one.form != "dense")
    in.fillOutside(NAN);
  return in;
}

} // namespace nysjit::gpu_day
