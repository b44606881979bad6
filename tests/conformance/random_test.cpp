// Random specs, configs, shapes and layouts in memory against the float64 reference.
#include "tests/conformance/conformance.h"

#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// A spec of any options that have kernels, and inputs that it takes.
std::pair<nlohmann::json, Inputs> randomCase(Seeded &random, const std::string &dtype) {
  nlohmann::json spec = {{"dtype", dtype}, {"head_dim", 8 * (random.between(0, 3) ? random.between(2, 12) : random.between(13, 32))}};
  int64_t length = random.oneOf<int64_t>({0, 1, random.between(2, 63), 64, 65, random.between(66, 400)});
  if (random.between(0, 3) == 0) {
    spec["layout"] = "exact_causal";
  } else {
    spec["layout"] = "causal";
    const int64_t landmarks = random.oneOf<int64_t>({1, random.between(2, 16), 33, 64, random.between(65, 200)});
    spec["landmarks"] = landmarks;
    if (random.between(0, 2)) {
      const int64_t segmentLen = random.oneOf<int64_t>({1, random.between(2, 9), 16, 64, random.between(65, 130)});
      spec["segment_len"] = segmentLen;
      length = std::min(length, landmarks * segmentLen);
    }
    spec["window"] = std::min(landmarks, random.oneOf<int64_t>({0, 0, 1, 3}));
    spec["landmark_weight"] = random.oneOf<std::string>({"tangent", "count"});
    spec["landmark_value"] = random.oneOf<std::string>({"nystrom", "nystrom", "streaming"});
    if (spec["landmark_value"] == "nystrom")
      spec["stabilizer"] = random.oneOf<double>({0.25, 0.125, 1, 30, 1e6});
  }
  const int64_t keyHeads = random.between(1, 2), queryHeads = keyHeads * random.between(1, 3);
  Inputs in = randomInputs(random.generator, random.between(1, 2), queryHeads, keyHeads, length, spec["head_dim"], dtype, random.oneOf<double>({0.3, 1, 3}));
  in.scale = random.oneOf<double>({in.scale, 0.1, 0.0});
  in.swapHeads = random.between(0, 1);
  in.padding = random.oneOf<int64_t>({0, 0, 1, 2, 8});
  return {spec, in};
}

/// Blocks for every kernel of the spec's program that has some, or "".
std::string randomConfig(Seeded &random, const nlohmann::json &spec) {
  if (random.between(0, 1))
    return "";
  auto block = [&] { return random.oneOf<int>({16, 32, 64, 128}); };
  auto blocks = [&](bool isSquare = false) {
    nlohmann::json config = {{"block_m", block()}};
    if (!isSquare)
      config["block_n"] = block();
    if (random.between(0, 1)) { // a GPU's
      config["num_warps"] = random.oneOf<int>({1, 2, 4, 8});
      config["num_stages"] = random.oneOf<int>({1, 2, 3});
    }
    return config;
  };
  if (spec["layout"] == "exact_causal")
    return nlohmann::json{{"exact_causal", blocks()}}.dump();
  nlohmann::json config = {{"causal_output", blocks()}};
  if (spec["landmark_value"] == "nystrom") {
    config["landmark_target"] = blocks();
    config["landmark_target"]["split"] = random.oneOf<int>({0, 256, 512});
    if (config["landmark_target"]["split"] != 0)
      config["landmark_past"] = blocks();
    config["landmark_solve"] = blocks(/*isSquare=*/true);
  }
  return config.dump();
}

class Random : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Random, SpecsAndShapes) {
  const auto &[dtype, target] = GetParam();
  Seeded random;
  std::string place = target;
  if (Place(target).isEmulator()) // any GPU
    place = target.substr(0, target.rfind('_') + 1) + random.oneOf<std::string>({"80", "86", "89", "90", "100", "120"});
  SCOPED_TRACE(place);
  Device device(place, 0, /*useCache=*/false);
  for (int round = 0; round < (device.gpu ? 8 : 12); ++round) {
    const auto [spec, in] = randomCase(random, dtype);
    const std::string config = randomConfig(random, spec);
    Device::Program program = device.prepare(spec.dump(), config);
    ASSERT_TRUE(program);
    const std::vector<double> o = device.run(program.get(), in, dtype), right = expected(spec.dump(), in);
    EXPECT_LE(relativeError(o, right), bound(dtype))
        << spec << " " << config << " B " << in.batch << " Hq " << in.queryHeads << " Hkv " << in.keyHeads << " n " << in.length << " scale " << in.scale
        << " padding " << in.padding;
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, Random, testing::Combine(testing::Values("float32", "float16", "bfloat16"), testing::ValuesIn(targets())),
                         [](const auto &info) { return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param)); });

} // namespace
