// Specs of scan that its tests draw.
#pragma once
#include <nlohmann/json.hpp>

#include <string>

namespace nysjit::conformance {

/// `firstK`: the first positions that landmarks are means of; 0: learned ones.
inline nlohmann::json scanSpec(int firstK, int landmarks, int headDim, const std::string &dtype) {
  nlohmann::json spec = {{"layout", "scan"},
                         {"head_dim", headDim},
                         {"landmarks", landmarks},
                         {"dtype", dtype},
                         {"landmark_source", firstK ? "first_k" : "learned"}};
  if (firstK)
    spec["first_k"] = firstK;
  return spec;
}

} // namespace nysjit::conformance
