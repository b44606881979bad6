// What ptxas makes of the PTX where there is one: registers, and what does not fit into them.
#include "tests/compiler/gpu_requests.h"

#include <cstdio>
#include <random>

using namespace nysjit;

namespace {

struct SampledSpec {
  std::string layout;
  bool hasProbes = false; // of `causal`
  std::string dtype;
  int headDim = 0;
  int landmarks = 0;
  int segmentLen = 0; // 0: left out
  Target target;
  std::string json() const {
    std::string text = R"({"layout": ")" + layout + R"(", "dtype": ")" + dtype +
                       R"(", )"
                       R"("head_dim": )" +
                       std::to_string(headDim);
    return text +
           (layout != "exact_causal" ? R"(, )"
                                       R"("landmarks": )" +
                                           std::to_string(landmarks)
                                     : "") +
           (segmentLen ? R"(, "segment_len": )" + std::to_string(segmentLen) : "") +
           (hasProbes ? R"(, "landmark_source": "learned", "probes": 4)" : "") +
           (hasProbes && segmentLen ? R"(, "landmark_spacing": "dyadic")" : "") + "}";
  }
};

SampledSpec sample(std::mt19937 &random) {
  auto below = [&](size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(random);
  };
  const std::vector<Target> targets = gpuTargets();
  SampledSpec spec;
  // scan's output spills
  spec.layout = (const char *[]){"causal",        "exact_causal", "segment_causal",
                                 "bidirectional", "prefix_lm",    "causal"}[below(6)];
  spec.hasProbes = spec.layout == "causal" && below(2);
  spec.dtype = (const char *[]){"float32", "float16", "bfloat16"}[below(3)];
  spec.headDim = 16 + 8 * static_cast<int>(below(31));
  spec.landmarks = 16 + static_cast<int>(below(spec.layout.ends_with("causal") ? 1009 : 497));
  if (spec.layout != "exact_causal" && below(2))
    spec.segmentLen = (const int[]){16, 64, 100, 512}[below(4)];
  spec.target = targets[below(targets.size())];
  return spec;
}

// What keeps two sums and re-reads its rows: operands that would not fit beside them stay in shared
// memory. float32 has no room at 128 (docs/performance.md).
TEST(GpuRegisters, GradientsThroughPositionsAndLandmarksSpillNothing) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  for (const char *spec :
       {R"({"layout": "exact_causal", "head_dim": 128, "dtype": "bfloat16", "pass": "backward"})",
        R"({"layout": "causal", "landmarks": 64, "segment_len": 64, "head_dim": 64,
            "dtype": "float16", "pass": "backward"})",
        R"({"layout": "causal", "landmarks": 64, "segment_len": 64, "head_dim": 128,
            "dtype": "bfloat16", "pass": "backward"})"}) {
    SCOPED_TRACE(spec);
    CompileRequest request = requestFor(spec, *parseTarget("cuda:sm_90"));
    request.assemblers.paths = {*ptxas};
    request.assemblers.limitMs = 600'000; // without ptxas's word there are no figures
    const CompileOutput output = compiled(request);
    int found = 0;
    for (const Json &kernel : output.kernels.elements()) {
      const std::string name = kernel["name"].get<std::string>();
      if (!name.starts_with("position_gradient") && !name.starts_with("far_gradient") &&
          !name.starts_with("past_gradient"))
        continue;
      ++found;
      ASSERT_GT(kernel["registers"].get<int>(), 0) << kernel.dump();
      EXPECT_EQ(kernel["spill_bytes"].get<int>(), 0) << kernel.dump();
    }
    EXPECT_GE(found, 2);
  }
}

TEST(GpuRegisters, ASampleAssembles) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  printf("seed %u\n", seed);
  for (int round = 0; round < 3; ++round) {
    const SampledSpec spec = sample(random);
    SCOPED_TRACE(spec.json() + " for " + targetName(spec.target) + ", seed " +
                 std::to_string(seed));
    CompileRequest request = requestFor(spec.json(), spec.target);
    request.assemblers.paths = {*ptxas};
    const CompileOutput output = compiled(request);
    EXPECT_EQ(output.kernels.size(), output.plan.kernels.size());
    for (const Json &kernel : output.kernels.elements()) {
      EXPECT_GT(kernel["registers"].get<int>(), 0) << kernel.dump();
      if (spec.headDim <= 128) {
        // float32's landmark_past at 128 keeps a number or two of what comes after its loops.
        const bool isFree =
            (spec.layout == "causal" && !(spec.segmentLen && spec.headDim == 128)) ||
            spec.layout == "exact_causal";
        // Of learned probes, the output's kernel has no registers for all addresses of a wide head
        // where rows of a tile see different dyadic blocks.
        const bool isOutput = kernel["name"].get<std::string>().starts_with("causal_output");
        const bool isOfRows = spec.segmentLen % 64 != 0 && spec.headDim >= 120;
        const bool maySpill = isOutput ? isOfRows : spec.dtype != "float32";
        const int ofProbes = maySpill ? 64 : 0;
        EXPECT_LE(kernel["spill_bytes"].get<int>(), spec.hasProbes ? ofProbes
                                                    : isFree       ? 0
                                                                   : 32)
            << kernel.dump();
      }
    }
  }
}

} // namespace
