// Gradients where each weight is computed once, and where each gradient computes its own; in one
// part of the positions and in many: the same up to rounding, with the same facts to the bit.
#include "tests/conformance/gradient_traces.h"
#include "tests/conformance/specs.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

std::vector<std::string> cpus() {
  std::vector<std::string> found;
  for (const std::string &place : places())
    if (!Place(place).isGpu() && Place(place).target != "cpu:x86-64-v4") // many programs to compile
      found.push_back(place);
  return found;
}

std::string specOf(const std::string &layout, const std::string &rest) {
  return R"({"layout": ")" + layout + R"(", "head_dim": 32, )" + rest + "}";
}

/// Tiles that have one segment each and tiles that have several, near positions that end with their
/// segment and that do not.
const std::string specs[] = {
    specOf("causal", R"("landmarks": 64, "segment_len": 12)"),
    specOf("causal", R"("landmarks": 64, "segment_len": 12, "window": 1)"),
    specOf("causal", R"("landmarks": 64, "segment_len": 12, "landmark_value": "streaming")"),
    specOf("causal", R"("landmarks": 16, "segment_len": 64)"),
    specOf("causal", R"("landmarks": 16, "segment_len": 64, "landmark_weight": "count")"),
    specOf("causal", R"("landmarks": 16, "segment_len": 128, "landmark_value": "streaming")"),
    specOf("causal", R"("landmarks": 9)"),
    specOf("segment_causal", R"("landmarks": 64, "segment_len": 12)"),
};

/// `split` < 0: not fused.
std::string configOf(int split) {
  if (split < 0)
    return R"({"position_gradient": {"fused": 0}})";
  const std::string number = std::to_string(split);
  return R"({"position_gradient": {"fused": 1, "split": )" + number +
         R"(}, "far_gradient": {"split": )" + number + "}}";
}

class FusedGradients : public testing::TestWithParam<std::string> {
protected:
  Seeded random;
  Device device{GetParam()};

  Inputs inputs(int64_t batch, int64_t queryHeads, int64_t length) {
    Inputs in = randomInputs(random.generator, batch, queryHeads, 1, length, 32);
    addOutputGradient(random.generator, in);
    return in;
  }
};

TEST_P(FusedGradients, AreTheReferencesInAnyNumberOfParts) {
  for (const std::string &spec : specs) {
    const Inputs in = inputs(2, 2, random.between(300, 700));
    for (const int split : {256, random.oneOf<int>({-1, 0})}) {
      SCOPED_TRACE(spec + configOf(split));
      expectGradients(spec, in, runGradients(device, spec, in, {.config = configOf(split)}), false);
    }
  }
}

TEST_P(FusedGradients, OfExactAttentionAreTheReferences) {
  const Inputs in = inputs(2, 2, random.between(100, 300));
  for (const char *config : {"", R"({"position_gradient": {"fused": 0}})",
                             R"({"position_gradient": {"block_m": 32, "block_n": 16}})"}) {
    SCOPED_TRACE(config);
    expectGradients(exactSpec, in, runGradients(device, exactSpec, in, {.config = config}), false);
  }
}

TEST_P(FusedGradients, OfManyPartsTakeNoTraceOfRowsWithoutGradient) {
  for (const std::string &spec : specs) {
    const auto keys = nlohmann::json::parse(spec);
    if (keys["layout"] != "causal" || !keys.contains("segment_len"))
      continue; // rows see what comes after them, or segments depend on the length
    const Inputs in = inputs(1, 2, random.between(520, 700));
    expectNoTrace(device, spec, in, random.between(257, in.length - 1), random,
                  {.config = configOf(256)});
  }
}

INSTANTIATE_TEST_SUITE_P(Places, FusedGradients, testing::ValuesIn(cpus()),
                         [](const auto &info) { return testName(info.param); });

} // namespace
