// Specs of causal with learned probes, and inputs for them.
#pragma once
#include "tests/conformance/inputs.h"
#include "tests/conformance/seeded.h"

#include <nlohmann/json.hpp>
#include <string>

namespace nysjit::conformance {

inline nlohmann::json probeSpec(int segmentLen, int probes, const std::string &spacing,
                                int width = 1, int window = 0) {
  nlohmann::json spec = {{"layout", "causal"}, {"head_dim", 32},
                         {"landmarks", 512},   {"segment_len", segmentLen},
                         {"window", window},   {"landmark_source", "learned"},
                         {"probes", probes},   {"landmark_spacing", spacing}};
  if (spacing == "dyadic")
    spec["level_width"] = width;
  return spec;
}

inline void addProbes(Seeded &random, Inputs &in, const nlohmann::json &spec,
                      const std::string &dtype = "float32") {
  std::normal_distribution<double> normal;
  in.landmarkQ.resize(size_t(in.queryHeads * int64_t(spec["probes"]) * in.headDim));
  for (double &x : in.landmarkQ)
    x = rounded(normal(random.generator), dtype);
}

} // namespace nysjit::conformance
