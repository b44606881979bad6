// What a kernel's part of a run asks for at least: arithmetic under the mask, and bytes.
//   flops  4 d for each pair of a query (or landmark) and a position (or landmark) that weighs: a
//          score and a value, 2 d each. Tiles that the mask cuts are not counted whole, nor the
//          split products that landmarks' logits take.
//   bytes  q, k, v and o as often as docs/architecture.md says that they go by, once a kernel
// 0 for kernels whose part does not grow with n: of landmarks alone.
#pragma once
#include "bench/gpu_day/cases.h"

namespace nysjit::gpu_day {

struct Counts {
  double flops = 0;
  double bytes = 0;
};

/// Of all heads. q, k and v as in the spec, o in its dtype, too.
Counts countsOf(const TimedCase &timed, const std::string &kernel);
/// Of all kernels. For `causal` the pairs of the joint softmax and those of the landmarks' values.
Counts countsOf(const TimedCase &timed);

} // namespace nysjit::gpu_day
