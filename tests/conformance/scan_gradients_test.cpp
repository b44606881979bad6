// Gradients of scan: any options and blocks beside the float64 reference, scores that leap, and
// what positions without a gradient must not show.
#include "tests/conformance/gradient_traces.h"
#include "tests/conformance/random_spec.h"
#include "tests/conformance/scan_specs.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class ScanGradients : public testing::TestWithParam<std::string> {
protected:
  Seeded random;
  Device device{GetParam()};

  nlohmann::json specOf(bool isFirstK, int landmarks, int headDim, const std::string &dtype) {
    const int firstK = isFirstK ? landmarks * int(random.between(1, 2)) : 0;
    return scanSpec(firstK, landmarks, headDim, dtype);
  }

  void addLandmarks(Inputs &in, const nlohmann::json &spec, double size = 1) {
    std::normal_distribution<double> normal;
    if (spec["landmark_source"] != "learned")
      return;
    const int64_t numbers = int64_t(spec["landmarks"]) * in.headDim;
    for (auto [to, heads] :
         {std::pair(&in.landmarkQ, in.queryHeads), {&in.landmarkK, in.keyHeads}}) {
      to->resize(size_t(heads * numbers));
      for (double &x : *to)
        x = rounded(size * normal(random.generator), spec["dtype"]);
    }
  }

  /// One sequence of two query heads and one key head. `leap`: every so often a key is this much
  /// longer, so that scores leap.
  Inputs inputs(const nlohmann::json &spec, int64_t length, double leap = 1) {
    const std::string dtype = spec["dtype"];
    Inputs in = randomInputs(random.generator, 1, 2, 1, length, spec["head_dim"], dtype);
    addOutputGradient(random.generator, in, dtype);
    addLandmarks(in, spec);
    std::uniform_real_distribution<double> logarithm(0, std::log(leap) + 1e-9);
    double size = 1;
    for (int64_t t = 0; t < length; ++t) {
      if (random.between(0, 7) == 0)
        size = std::exp(logarithm(random.generator));
      for (int64_t e = 0; e < in.headDim; ++e) {
        double &key = in.k[in.index(0, 0, t, e, 1)];
        key = rounded(key * size, dtype);
      }
    }
    return in;
  }

  /// Sequences of one length, padded or packed. Scores are large enough for A to be far from
  /// singular: in float32 the gradients through its inverse lose digits with it. So they do at the
  /// first positions, where all landmarks' means are nearly one: not all sequences are short.
  Inputs drawInputs(const nlohmann::json &spec) {
    Inputs in;
    auto isShort = [](const Sequence &sequence) { return sequence.length < 8; };
    do
      in = randomInputsOf(random, spec, bool(device.gpu));
    while (std::ranges::all_of(in.sequences(), isShort));
    std::normal_distribution<double> normal;
    for (auto *numbers : {&in.q, &in.k})
      for (double &x : *numbers)
        x = rounded(1.5 * normal(random.generator), spec["dtype"]);
    in.scale = 1 / std::sqrt(double(in.headDim));
    addLandmarks(in, spec);
    addOutputGradient(random.generator, in, spec["dtype"]);
    in.fillOutside(NAN);
    return in;
  }

  /// Of scan_columns, and with a split of scan_rows.
  nlohmann::json configOf(int split, int blockM, int blockN, int rowsBlockM, int rowsBlockN) {
    nlohmann::json config = {
        {"scan_columns", {{"block_m", blockM}, {"block_n", blockN}, {"split", split}}}};
    if (split)
      config["scan_rows"] = {{"block_m", rowsBlockM}, {"block_n", rowsBlockN}};
    return config;
  }

  void expectReference(const nlohmann::json &spec, const Inputs &in, GradientOptions options) {
    SCOPED_TRACE(spec.dump() + " " + options.config + " " + describe(in));
    options.dtype = spec["dtype"];
    expectGradients(spec.dump(), in, runGradients(device, spec.dump(), in, options),
                    device.place.isGpu());
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, ScanGradients, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

TEST_P(ScanGradients, RandomSpecs) {
  for (int round = 0; round < (device.gpu ? 3 : 6); ++round) {
    const std::string dtype = random.oneOf<std::string>({"float32", "float16", "bfloat16"});
    nlohmann::json spec = specOf(random.between(0, 1), int(random.between(1, 80)),
                                 8 * int(random.between(2, 10)), dtype);
    spec["inverse_iterations"] = random.oneOf<int>({6, 6, 0, 1, 4});
    spec["conv_kernel"] = random.oneOf<int>({0, 0, 1, 4});
    Inputs in = drawInputs(spec);
    GradientOptions options{.outputDtype = random.oneOf<std::string>({"float32", dtype})};
    for (const char *name : {"dq", "dk", "dv", "dconv", "dlandmark_q", "dlandmark_k"})
      if (random.between(0, 5) == 0)
        options.leftOut.insert(name);
    auto block = [&] {
      return device.gpu ? random.oneOf<int>({16, 32}) : random.oneOf<int>({16, 32, 64});
    };
    for (int64_t draws = random.oneOf({0, 6}); draws > 0 && options.config.empty(); --draws) {
      const std::string config =
          configOf(random.oneOf({0, 256}), block(), block(), block(), block()).dump();
      if (device.prepareIfFits(withPass(spec.dump(), "backward"), config))
        options.config = config;
    }
    expectReference(spec, in, options);
  }
}

/// All landmarks in one tile and in two, of one part and of two.
TEST_P(ScanGradients, TilesOfLandmarks) {
  for (const int part : {0, 256})
    for (const int landmarks : {13, 33}) {
      const nlohmann::json spec = specOf(random.between(0, 1), landmarks, 24, "float32");
      const Inputs in = inputs(spec, random.between(257, 330), 30);
      expectReference(spec, in, {.config = configOf(part, 16, 32, 16, 32).dump()});
    }
}

/// Sums over later rows go through several chunks, and their units with scores that grow.
TEST_P(ScanGradients, ChunksInOnePartAndInMany) {
  for (const int part : {0, 256, 512}) {
    const nlohmann::json spec = specOf(false, 13, 16, "float32");
    Inputs in = inputs(spec, random.between(769, 800));
    for (int64_t t = 0; t < in.length; ++t)
      for (int64_t e = 0; e < in.headDim; ++e) {
        double &key = in.k[in.index(0, 0, t, e, 1)];
        key = rounded(key * (0.2 + double(t) / 200), "float32");
      }
    expectReference(spec, in, {.config = configOf(part, 32, 32, 32, 32).dump()});
  }
}

TEST_P(ScanGradients, ScoresThatLeapStayWithinTheBound) {
  for (const std::string dtype : {"float32", "bfloat16"})
    for (const double leap : {30.0, 1000.0}) {
      const nlohmann::json spec = specOf(random.between(0, 1), 24, 32, dtype);
      expectReference(spec, inputs(spec, random.between(257, 300), leap), {});
    }
}

/// All landmarks' means are the one value: what A+ has of a gradient is rounding for the most part.
/// On GPUs dk, which is 0, is the difference of two sums of three tf32 products each.
TEST_P(ScanGradients, OfOnePositionStayWithinTheBound) {
  GradientOptions options;
  if (device.place.isGpu())
    options.leftOut = {"dk"};
  const nlohmann::json spec = specOf(false, 64, 32, "float32");
  for (int round = 0; round < (device.gpu ? 4 : 40); ++round) {
    Inputs in = inputs(spec, 1);
    in.scale = 1 / std::sqrt(32.0);
    expectReference(spec, in, options);
  }
}

TEST_P(ScanGradients, RowsWithoutGradientLeaveNoTrace) {
  for (const bool isFirstK : {false, true}) {
    const nlohmann::json spec = specOf(isFirstK, 24, 32, "float32");
    const int64_t firstK = spec.value("first_k", 0);
    const GradientOptions options{
        .config = random.oneOf({0, 1}) ? configOf(256, 32, 32, 32, 32).dump() : std::string()};
    const Inputs in = inputs(spec, random.between(firstK + 2, 330), 1000);
    std::vector<const char *> sums;
    if (!isFirstK)
      sums = {"dlandmark_q", "dlandmark_k"};
    expectNoTrace(device, spec.dump(), in, random.between(firstK + 1, in.length - 1), random,
                  options, sums);
  }
}

/// Landmarks' gradients are sums over sequences; those of no position are 0.
TEST_P(ScanGradients, LandmarksOfNoPositionHaveNone) {
  const nlohmann::json spec = specOf(false, 20, 32, "float32");
  Inputs in = inputs(spec, 10);
  in.seqlens = {0};
  in.fillOutside(NAN);
  const Written written = runGradients(device, spec.dump(), in);
  for (const char *name : {"dlandmark_q", "dlandmark_k"}) {
    ASSERT_FALSE(written.at(name).empty());
    for (const double x : written.at(name))
      ASSERT_EQ(x, 0) << name;
  }
}

TEST_P(ScanGradients, KeepsNothing) {
  const nlohmann::json spec = specOf(false, 20, 32, "float32");
  const Inputs in = inputs(spec, 40);
  EXPECT_EQ(runGradients(device, spec.dump(), in),
            runGradients(device, spec.dump(), in, {.isRecomputed = true}));
}

} // namespace
