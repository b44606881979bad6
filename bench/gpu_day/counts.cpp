// Pairs and passes of the timed layouts: exact_causal and causal.
#include "bench/gpu_day/counts.h"

#include <algorithm>

namespace nysjit::gpu_day {

namespace {

struct Pairs {
  double near = 0;     // of positions with positions of their own segment
  double far = 0;      // of positions with landmarks of earlier segments
  double landmark = 0; // of landmarks with positions up to their segments' ends
};

Pairs pairsOf(int64_t length, int64_t segmentLen) {
  Pairs pairs;
  for (int64_t start = 0; start < length; start += segmentLen) {
    const auto rows = static_cast<double>(std::min(segmentLen, length - start));
    pairs.near += rows * (rows + 1) / 2;
    pairs.far += rows * static_cast<double>(start / segmentLen);
    pairs.landmark += static_cast<double>(start) + rows;
  }
  return pairs;
}

const char *const kernels[] = {"exact_causal", "segment_summary", "landmark_past", "causal_output"};

} // namespace

Counts countsOf(const TimedCase &timed, const std::string &kernel) {
  const auto headDim = timed.spec["head_dim"].get<double>();
  const double width = timed.spec["dtype"] == "float32" ? 4 : 2;
  const auto heads = static_cast<double>(timed.batch * timed.heads);
  const double pass = heads * static_cast<double>(timed.length) * headDim * width;
  const double pair = heads * 4 * headDim;
  const bool isExact = timed.spec["layout"] == "exact_causal";
  const bool isStreaming = timed.spec.value("landmark_value", "") == "streaming";
  const Pairs pairs =
      pairsOf(timed.length, isExact ? timed.length : timed.spec["segment_len"].get<int64_t>());
  if (kernel == "exact_causal" && isExact)
    return {pair * pairs.near, 4 * pass};
  if (isExact)
    return {};
  if (kernel == "segment_summary")
    return {isStreaming ? pair * static_cast<double>(timed.length) : 0,
            (isStreaming ? 3 : 2) * pass};
  if (kernel == "landmark_past" && !isStreaming)
    return {pair * pairs.landmark, 2 * pass};
  if (kernel == "causal_output")
    return {pair * (pairs.near + pairs.far), 4 * pass};
  return {};
}

Counts countsOf(const TimedCase &timed) {
  Counts all;
  for (const char *kernel : kernels) {
    const Counts one = countsOf(timed, kernel);
    all.flops += one.flops;
    all.bytes += one.bytes;
  }
  return all;
}

} // namespace nysjit::gpu_day
