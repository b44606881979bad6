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
/// segment and that do not, sequences of a target, of a source and of both.
const std::string specs[] = {
    specOf("causal", R"("landmarks": 64, "segment_len": 12)"),
    specOf("causal", R"("landmarks": 64, "segment_len": 12, "window": 1)"),
    specOf("causal", R"("landmarks": 64, "segment_len": 12, "landmark_value": "streaming")"),
    specOf("causal", R"("landmarks": 16, "segment_len": 64)"),
    specOf("causal", R"("landmarks": 16, "segment_len": 64, "landmark_weight": "count")"),
    specOf("causal", R"("landmarks": 16, "segment_len": 128, "landmark_value": "streaming")"),
    specOf("causal", R"("landmarks": 9)"),
    specOf("segment_causal", R"("landmarks": 64, "segment_len": 12)"),
    specOf("bidirectional", R"("landmarks": 33)"),
    specOf("bidirectional", R"("landmarks": 64, "segment_len": 12, "conv_kernel": 3)"),
    specOf("prefix_lm", R"("landmarks": 64, "segment_len": 12)"),
    specOf("prefix_lm", R"("landmarks": 64, "segment_len": 12, "landmark_weight": "count")"),
    specOf("prefix_lm", R"("landmarks": 64, "segment_len": 12, "landmark_value": "streaming")"),
    specOf("prefix_lm", R"("landmarks": 16, "segment_len": 64)"),
};

/// `split` < 0: not fused.
std::string configOf(const std::string &spec, int split) {
  const std::string layout = nlohmann::json::parse(spec)["layout"];
  const bool hasSource = layout == "bidirectional" || layout == "prefix_lm";
  const bool hasTarget = layout != "bidirectional";
  const char *leader = !hasTarget  ? "source_position_gradient"
                       : hasSource ? "target_position_gradient"
                                   : "position_gradient";
  if (split < 0)
    return nlohmann::json{{leader, {{"fused", 0}}}}.dump();
  nlohmann::json config = {{leader, {{"fused", 1}, {"split", split}}}};
  if (hasTarget)
    config["far_gradient"]["split"] = split;
  if (hasSource)
    config["source_far_gradient"]["split"] = split;
  return config.dump();
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
  Inputs inputsOf(const std::string &spec, int64_t batch, int64_t length) {
    Inputs in = inputs(batch, 2, length);
    if (nlohmann::json::parse(spec)["layout"] == "prefix_lm")
      for (int64_t b = 0; b < batch; ++b)
        in.sourceLen.push_back(random.between(0, length));
    std::normal_distribution<double> normal(0, 0.5);
    in.conv.resize(2 * nlohmann::json::parse(spec).value("conv_kernel", size_t(0)));
    for (double &tap : in.conv)
      tap = float(normal(random.generator));
    return in;
  }
};

TEST_P(FusedGradients, AreTheReferencesInAnyNumberOfParts) {
  for (const std::string &spec : specs) {
    const Inputs in = inputsOf(spec, 2, random.between(300, 700));
    for (const int split : {256, random.oneOf<int>({-1, 0})}) {
      const std::string config = configOf(spec, split);
      SCOPED_TRACE(spec + config + " " + testing::PrintToString(in.sourceLen) + " of " +
                   std::to_string(in.length));
      expectGradients(spec, in, runGradients(device, spec, in, {.config = config}), false);
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
    const bool isCausal = keys["layout"] == "causal" || keys["layout"] == "prefix_lm";
    if (!isCausal || !keys.contains("segment_len"))
      continue; // rows see what comes after them, or segments depend on the length
    Inputs in = inputsOf(spec, 1, random.between(520, 700));
    if (!in.sourceLen.empty())
      in.sourceLen = {random.between(0, 256)};
    expectNoTrace(device, spec, in, random.between(257, in.length - 1), random,
                  {.config = configOf(spec, 256)});
  }
}

INSTANTIATE_TEST_SUITE_P(Places, FusedGradients, testing::ValuesIn(cpus()),
                         [](const auto &info) { return testName(info.param); });

} // namespace
