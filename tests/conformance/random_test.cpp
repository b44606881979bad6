// Random specs, configs, shapes, sequences and layouts in memory against the float64 reference.
#include "tests/conformance/conformance.h"

#include <algorithm>
#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

bool hasInverse(const std::string &layout) {
  return layout == "bidirectional" || layout == "prefix_lm";
}

/// What `causal` has instead of landmarks' values with learned probes.
void addProbes(Seeded &random, nlohmann::json &spec) {
  spec["landmark_source"] = "learned";
  spec["probes"] = random.oneOf<int>({1, 2, 4, int(random.between(3, 16))});
  spec["window"] = std::min(int64_t(spec["landmarks"]), random.oneOf<int64_t>({0, 0, 1, 3}));
  if (!spec.contains("segment_len") || random.between(0, 2) == 0)
    return;
  spec["landmark_spacing"] = "dyadic";
  spec["level_width"] = random.oneOf<int>({1, 1, 2, int(random.between(1, 16))});
  spec["landmarks"] = random.oneOf<int64_t>({spec["landmarks"], 1500, 65536});
}

/// A spec of any options that the layout has; "learned" is `causal` with learned probes.
nlohmann::json randomSpec(Seeded &random, const std::string &name, const std::string &dtype) {
  const bool isLearned = name == "learned";
  const std::string layout = isLearned ? "causal" : name;
  nlohmann::json spec = {
      {"layout", layout},
      {"dtype", dtype},
      {"head_dim", 8 * (random.between(0, 3) ? random.between(2, 12) : random.between(13, 32))}};
  if (dtype == "float32" && random.between(0, 3) == 0)
    spec["float32_math"] = "tf32";
  if (layout == "exact_causal")
    return spec;
  const int64_t many = hasInverse(layout) ? random.between(34, 80) : random.between(65, 200);
  const int64_t landmarks = random.oneOf<int64_t>({1, random.between(2, 16), 33, 64, many});
  spec["landmarks"] = landmarks;
  if (random.between(0, 2))
    spec["segment_len"] =
        random.oneOf<int64_t>({1, random.between(2, 9), 16, 64, random.between(65, 130)});
  if (random.between(0, 2) == 0)
    spec["conv_kernel"] = random.oneOf<int64_t>({1, 2, random.between(3, 33), 129});
  if (isLearned) {
    addProbes(random, spec);
    return spec;
  }
  if (layout == "causal")
    spec["window"] = std::min(landmarks, random.oneOf<int64_t>({0, 0, 1, 3}));
  if (layout == "causal" || layout == "prefix_lm") {
    spec["landmark_weight"] = random.oneOf<std::string>({"tangent", "count"});
    spec["landmark_value"] = random.oneOf<std::string>({"nystrom", "nystrom", "streaming"});
  }
  if (layout != "bidirectional" && spec.value("landmark_value", "nystrom") == "nystrom")
    spec["stabilizer"] = random.oneOf<double>({0.25, 0.125, 1, 30, 1e6});
  if (hasInverse(layout)) // more steps invert what rounding made of singular matrices
    spec["inverse_iterations"] = random.oneOf<int>({6, 6, 6, 0, 1, 3});
  return spec;
}

/// Probes, with elements of about that size, and taps.
void addLearned(Seeded &random, Inputs &in, const nlohmann::json &spec, double size) {
  std::normal_distribution<double> normal;
  auto fill = [&](std::vector<double> &numbers, int64_t count, double spread) {
    while (int64_t(numbers.size()) < count)
      numbers.push_back(rounded(spread * normal(random.generator), spec["dtype"]));
  };
  fill(in.landmarkQ, in.queryHeads * spec.value("probes", int64_t(0)) * in.headDim, size);
  fill(in.conv, in.queryHeads * spec.value("conv_kernel", int64_t(0)), 0.5);
}

/// Inputs that the spec takes: sequences of one length, padded or packed, with NaNs outside them.
Inputs randomInputsOf(Seeded &random, const nlohmann::json &spec, bool isGpu) {
  const std::string dtype = spec["dtype"];
  const int64_t limit = spec.contains("segment_len")
                            ? int64_t(spec["landmarks"]) * int64_t(spec["segment_len"])
                            : 400;
  auto randomLength = [&](int64_t most) {
    return std::min(
        {limit, most,
         random.oneOf<int64_t>({0, 1, random.between(2, 63), 64, 65, random.between(66, 400)})});
  };
  const int64_t keyHeads = random.between(1, 2);
  const int64_t queryHeads = keyHeads * random.between(1, 3);
  int64_t sequences = random.between(1, 2);
  int64_t length = randomLength(400);
  std::vector<int64_t> cuSeqlens;
  std::vector<int64_t> seqlens;
  std::vector<int64_t> starts;
  std::vector<int64_t> lengths;
  const int64_t form = random.between(0, 2);
  if (form == 1) { // packed
    sequences = random.between(1, 4);
    cuSeqlens = {random.oneOf<int64_t>({0, 0, 7})};
    for (int64_t b = 0; b < sequences; ++b)
      cuSeqlens.push_back(cuSeqlens.back() + lengths.emplace_back(randomLength(150)));
    length = cuSeqlens.back() + random.oneOf<int64_t>({0, 0, 70});
  } else if (form == 2) { // padded
    sequences = random.between(1, 3);
    length = 0;
    for (int64_t b = 0; b < sequences; ++b)
      length = std::max(length, seqlens.emplace_back(lengths.emplace_back(randomLength(200))));
    length += random.oneOf<int64_t>({0, 0, 1, 80});
    if (random.between(0, 1))
      for (int64_t b = 0; b < sequences; ++b)
        starts.push_back(random.oneOf<int64_t>(
            {0, length - seqlens[size_t(b)], random.between(0, length - seqlens[size_t(b)])}));
  } else {
    lengths.assign(size_t(sequences), length);
  }
  const double spread = random.oneOf<double>({0.3, 1, spec.contains("float32_math") ? 1 : 3.0});
  Inputs in = randomInputs(random.generator, form == 1 ? 1 : sequences, queryHeads, keyHeads,
                           length, spec["head_dim"], dtype, spread);
  in.cuSeqlens = cuSeqlens;
  in.seqlens = seqlens;
  in.starts = starts;
  in.scale = random.oneOf<double>({in.scale, in.scale, 0.1, 0.0});
  if (spec["layout"] == "prefix_lm")
    for (int64_t n : lengths)
      in.sourceLen.push_back(random.oneOf<int64_t>({0, n, random.between(0, n)}));
  addLearned(random, in, spec, spread);
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (form && (random.between(0, 1) || (isGpu && length > limit)))
    in.maxLength = std::max<int64_t>(std::min(longest + random.between(0, 3), limit), 1);
  in.swapHeads = random.between(0, 1);
  in.padding = random.oneOf<int64_t>({0, 0, 1, 2, 8});
  in.fillOutside(NAN);
  return in;
}

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
  if (spec.contains("probes"))
    return nlohmann::json{{"causal_output", blocks()}, {"probe_summary", blocks()}}.dump();
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

std::string describe(const Inputs &in) {
  nlohmann::json all = {
      {"B", in.batch},           {"Hq", in.queryHeads},        {"Hkv", in.keyHeads},
      {"n", in.length},          {"scale", in.scale},          {"swapHeads", in.swapHeads},
      {"padding", in.padding},   {"cu_seqlens", in.cuSeqlens}, {"seqlens", in.seqlens},
      {"seq_starts", in.starts}, {"source_len", in.sourceLen}, {"max_length", in.maxLength}};
  return all.dump();
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
