// The limit of a sequence's length, and its segments' length.
#include "runtime/spec/lengths.h"

namespace nysjit {

std::optional<int64_t> maximumLength(const KernelSpec &spec) {
  if (!spec.segmentLen)
    return std::nullopt;
  return int64_t(spec.landmarks) * *spec.segmentLen;
}

std::string expectedLength(int64_t maximum) {
  return "a length of at most landmarks * segment_len = " + std::to_string(maximum) + " positions";
}

int64_t segmentLength(const KernelSpec &spec, int64_t length) {
  if (spec.segmentLen)
    return *spec.segmentLen;
  return spec.landmarks ? (length + spec.landmarks - 1) / spec.landmarks : 1;
}

int64_t learnedQueries(const KernelSpec &spec) {
  const bool isProbes =
      spec.layout == Layout::Causal && spec.landmarkSource == LandmarkSource::Learned;
  return isProbes ? spec.probes : spec.landmarks;
}

} // namespace nysjit
