// Specs that several files of tests run: each layout with segments that a random length does not
// fill.
#pragma once
#include <string>

namespace nysjit::conformance {

inline const char *const causalSpec = R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
                                      R"("segment_len": 12, "window": 1})";
// it overflows
inline const char *const plainSolveSpec =
    R"({"layout": "causal", "head_dim": 32, "landmarks": 300, "segment_len": 1, "stabilizer": 0})";
inline const char *const streamingSpec =
    R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
    R"("segment_len": 12, "landmark_value": "streaming", "landmark_weight": "count"})";
inline const char *const exactSpec = R"({"layout": "exact_causal", "head_dim": 32})";

inline const char *const bidirectionalSpec = R"({"layout": "bidirectional", "head_dim": 32, )"
                                             R"("landmarks": 32, "segment_len": 12})";
inline const char *const segmentSpec = R"({"layout": "segment_causal", "head_dim": 32, )"
                                       R"("landmarks": 32, "segment_len": 12})";
inline const char *const prefixSpec = R"({"layout": "prefix_lm", "head_dim": 32, "landmarks": 33, )"
                                      R"("segment_len": 12})";

/// A spec in a 16-bit dtype, or for float32 with single tf32 products.
inline std::string inDtype(std::string spec, const std::string &dtype) {
  spec.back() = ',';
  return spec + (dtype == "tf32" ? R"("float32_math": "tf32"})" : R"("dtype": ")" + dtype + "\"}");
}

} // namespace nysjit::conformance
