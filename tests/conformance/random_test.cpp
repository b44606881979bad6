// Random specs, configs, shapes, sequences and layouts in memory against the float64 reference.
#include "tests/conformance/conformance.h"
#include "tests/conformance/random_spec.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Blocks for every kernel of the spec's program that has some, smaller ones for longer rows.
std::string randomConfig(Seeded &random, const nlohmann::json &spec) {
  const int headDim = spec["head_dim"];
  const int largest = headDim <= 48 ? 128 : headDim <= 96 ? 64 : 32;
  auto block = [&] { return std::min(random.oneOf<int>({16, 32, 64, 128}), largest); };
  const int mostStages = headDim <= 96 ? 3 : 2;
  auto blocks = [&](bool isSquare = false) {
    nlohmann::json config = {{"block_m", block()}};
    if (!isSquare)
      config["block_n"] = block();
    if (random.between(0, 1)) { // a GPU's
      config["num_warps"] = random.oneOf<int>({1, 2, 4, 8});
      config["num_stages"] = std::min(random.oneOf<int>({1, 2, 3}), mostStages);
    }
    return config;
  };
  const std::string layout = spec["layout"];
  if (layout == "exact_causal")
    return nlohmann::json{{"exact_causal", blocks()}}.dump();
  if (spec.contains("probes")) {
    nlohmann::json config = {{"causal_output", blocks()}, {"probe_summary", blocks()}};
    const bool isFused = random.between(0, 1);
    config["probe_summary"]["fused"] = int(isFused);
    if (!isFused)
      config["probe_values"] = blocks();
    return config.dump();
  }
  const bool isSolved =
      layout != "bidirectional" && spec.value("landmark_value", "nystrom") == "nystrom";
  nlohmann::json config;
  if (hasInverse(layout)) {
    config["source_inverse"] = blocks(/*isSquare=*/true);
    config["source_output"] = blocks();
  }
  if (layout != "bidirectional")
    config[layout == "causal"      ? "causal_output"
           : layout == "prefix_lm" ? "target_output"
                                   : "segment_output"] = blocks();
  if (isSolved) {
    config["landmark_target"] = blocks();
    config["landmark_solve"] = blocks(/*isSquare=*/true);
  }
  if (isSolved || hasInverse(layout)) {
    const char *const first = hasInverse(layout) ? "source_past" : "landmark_target";
    config[first] = blocks();
    config[first]["split"] = random.oneOf<int>({0, 256, 512});
    if (config[first]["split"] != 0)
      config["landmark_past"] = blocks();
  }
  return config.dump();
}

class Random : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Random, SpecsAndShapes) {
  const auto &[dtype, target] = GetParam();
  Seeded random;
  std::string place = target;
  if (Place(target).isEmulator()) // any GPU
    place = target.substr(0, target.rfind('_') + 1) +
            random.oneOf<std::string>({"80", "86", "89", "90", "100", "120"});
  SCOPED_TRACE(place);
  Device device(place, 0, /*useCache=*/false);
  ConfigDraws draws(device);
  for (int round = 0; round < (device.gpu ? 1 : 2); ++round)
    for (const char *layout :
         {"causal", "learned", "exact_causal", "bidirectional", "segment_causal", "prefix_lm"}) {
      const nlohmann::json spec = randomSpec(random, layout, dtype);
      const Inputs in = randomInputsOf(random, spec, bool(device.gpu));
      std::string config;
      Device::Program program =
          random.between(0, 1)
              ? device.prepare(spec.dump())
              : draws.prepare(spec.dump(), [&] { return config = randomConfig(random, spec); });
      const std::string outputDtype = random.oneOf<std::string>({"float32", dtype});
      SCOPED_TRACE(spec.dump() + " " + config + " " + describe(in));
      ASSERT_TRUE(program);
      const std::vector<double> o = device.run(program.get(), in, dtype, outputDtype);
      EXPECT_LE(relativeError(o, expected(spec.dump(), in)),
                bound(spec.dump(), in, std::get<1>(GetParam())));
      EXPECT_EQ(in.largestOutside(o), 0) << "outside the sequences";
    }
}
INSTANTIATE_TEST_SUITE_P(Cases, Random,
                         testing::Combine(testing::Values("float32", "float16", "bfloat16"),
                                          testing::ValuesIn(places())),
                         [](const auto &info) {
                           return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param));
                         });

} // namespace
