// scan: what its blocks, passes and parts must not show.
#include "tests/conformance/conformance.h"
#include "tests/conformance/scan_specs.h"

#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Scan : public testing::TestWithParam<std::string> {
protected:
  Scan() : device(GetParam()) {}
  Seeded random;
  Device device;

  /// Learned landmarks, or none for first_k. `leap`: every so often a key is this much longer, so
  /// that scores leap.
  Inputs inputs(const nlohmann::json &spec, int64_t length, const std::string &dtype,
                double leap = 1) {
    const int64_t keyHeads = 1;
    const int64_t queryHeads = 2;
    const int64_t headDim = spec["head_dim"];
    const int64_t landmarks = spec["landmarks"];
    Inputs in = randomInputs(random.generator, 1, queryHeads, keyHeads, length, headDim, dtype);
    std::normal_distribution<double> normal;
    if (spec["landmark_source"] == "learned")
      for (auto [to, heads] : {std::pair(&in.landmarkQ, queryHeads), {&in.landmarkK, keyHeads}}) {
        to->resize(static_cast<size_t>(heads * landmarks * headDim));
        for (double &x : *to)
          x = rounded(normal(random.generator), dtype);
      }
    double size = 1;
    for (int64_t t = 0; t < length; ++t) {
      if (random.between(0, 7) == 0)
        size = std::exp(
            std::uniform_real_distribution<double>(0, std::log(leap) + 1e-9)(random.generator));
      for (int64_t e = 0; e < headDim; ++e) {
        double &key = in.k[in.index(0, 0, t, e, keyHeads)];
        key = rounded(key * size, dtype);
      }
    }
    return in;
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, Scan, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

const char *const split = R"({"scan_output": {"split": 256}})";

nlohmann::json specOf(bool isFirstK, int landmarks, int headDim, const std::string &dtype) {
  return scanSpec(isFirstK ? 2 * landmarks : 0, landmarks, headDim, dtype);
}

TEST_P(Scan, LaterPositionsChangeNoBit) {
  const int64_t length = 330;
  for (const bool isFirstK : {false, true})
    for (const std::string dtype : {"float32", "float16", "bfloat16"}) {
      const nlohmann::json spec = specOf(isFirstK, 24, 32, dtype);
      Device::Program program = device.prepare(spec.dump(), random.between(0, 1) ? split : "");
      Inputs in = inputs(spec, length, dtype, 1000);
      const std::vector<double> before = device.run(program.get(), in, dtype);
      const int64_t last = random.between(0, length - 2);
      std::uniform_real_distribution<double> large(-1e4, 1e4);
      for (int64_t t = last + 1; t < length; ++t)
        for (int64_t e = 0; e < 32; ++e) {
          in.k[in.index(0, 0, t, e, 1)] = rounded(large(random.generator), dtype);
          in.v[in.index(0, 0, t, e, 1)] = rounded(large(random.generator), dtype);
          for (int64_t h = 0; h < 2; ++h)
            in.q[in.index(0, h, t, e, 2)] = rounded(large(random.generator), dtype);
        }
      const std::vector<double> after = device.run(program.get(), in, dtype);
      // all of first_k's are known from k0 on
      const int64_t end = isFirstK && last < 48 ? std::min<int64_t>(last, 47) : last;
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = 0; i <= end; ++i)
          for (int64_t e = 0; e < 32; ++e)
            ASSERT_EQ(before[in.index(0, h, i, e, 2)], after[in.index(0, h, i, e, 2)])
                << spec << " position " << i << ", changed from " << last + 1;
    }
}

TEST_P(Scan, OutputAtAPositionDoesNotDependOnTheLength) {
  const nlohmann::json spec = specOf(random.between(0, 1), 16, 32, "float32");
  Device::Program program = device.prepare(spec.dump(), split);
  const Inputs whole = inputs(spec, 600, "float32", 30);
  const std::vector<double> all = device.run(program.get(), whole, "float32");
  for (int64_t length : {random.between(1, 599), int64_t(256), int64_t(512)}) {
    Inputs cut = whole;
    cut.length = length;
    for (auto [from, to, heads] : {std::tuple(&whole.q, &cut.q, whole.queryHeads),
                                   {&whole.k, &cut.k, whole.keyHeads},
                                   {&whole.v, &cut.v, whole.keyHeads}}) {
      to->clear();
      for (int64_t h = 0; h < heads; ++h)
        to->insert(to->end(), from->begin() + h * 600 * 32,
                   from->begin() + (h * 600 + length) * 32);
    }
    const std::vector<double> some = device.run(program.get(), cut, "float32");
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = 0; i < length; ++i)
        for (int64_t e = 0; e < 32; ++e)
          ASSERT_EQ(all[whole.index(0, h, i, e, 2)], some[cut.index(0, h, i, e, 2)])
              << "position " << i << " of " << length;
  }
}

TEST_P(Scan, ScoresThatLeapStayWithinTheBound) {
  for (const std::string dtype : {"float32", "float16", "bfloat16"})
    for (const double leap : {30.0, 1000.0}) {
      const nlohmann::json spec = specOf(random.between(0, 1), 24, 32, dtype);
      const Inputs in = inputs(spec, 200, dtype, leap);
      Device::Program program = device.prepare(spec.dump(), random.between(0, 1) ? split : "");
      EXPECT_LE(relativeError(device.run(program.get(), in, dtype), expected(spec.dump(), in)),
                bound(spec.dump(), in, GetParam()))
          << spec << " leap " << leap;
    }
}

/// All landmarks in one tile, their state carried or, with parts, in memory; and in two tiles.
TEST_P(Scan, TilesOfLandmarks) {
  for (const int part : {0, 256})
    for (const int landmarks : {13, 32, 33}) {
      const std::string dtype = random.oneOf<std::string>({"float32", "bfloat16"});
      const nlohmann::json spec = specOf(random.between(0, 1), landmarks, 24, dtype);
      const nlohmann::json config = {
          {"scan_output", {{"block_m", 16}, {"block_n", 32}, {"split", part}}}};
      const Inputs in = inputs(spec, random.between(257, 330), dtype, 30);
      Device::Program program = device.prepare(spec.dump(), config.dump());
      EXPECT_LE(relativeError(device.run(program.get(), in, dtype), expected(spec.dump(), in)),
                bound(spec.dump(), in, GetParam()))
          << spec << config << " length " << in.length;
    }
}

TEST_P(Scan, RandomSpecs) {
  ConfigDraws draws(device);
  for (int round = 0; round < (device.gpu ? 4 : 8); ++round) {
    const std::string dtype = random.oneOf<std::string>({"float32", "float16", "bfloat16"});
    nlohmann::json spec = specOf(random.between(0, 1), int(random.between(1, 100)),
                                 8 * int(random.between(2, 10)), dtype);
    spec["inverse_iterations"] = random.between(0, 8);
    spec["conv_kernel"] = random.oneOf<int>({0, 0, 1, 4});
    Inputs in =
        inputs(spec, random.oneOf<int64_t>({0, 1, 63, 64, 65, random.between(1, 400)}), dtype);
    const int conv = spec["conv_kernel"];
    in.conv.resize(static_cast<size_t>(2 * conv));
    for (double &x : in.conv)
      x = rounded(std::normal_distribution<double>()(random.generator), dtype);
    auto block = [&] { return random.oneOf<int>({16, 32, 64}); };
    nlohmann::json config;
    auto draw = [&] {
      config = {{"scan_output",
                 {{"block_m", block()}, {"block_n", block()}, {"split", random.oneOf({0, 256})}}},
                {"scan_inverse", {{"block_m", block()}}}};
      return config.dump();
    };
    Device::Program program =
        random.between(0, 1) ? device.prepare(spec.dump()) : draws.prepare(spec.dump(), draw);
    EXPECT_LE(relativeError(device.run(program.get(), in, dtype), expected(spec.dump(), in)),
              bound(dtype))
        << spec << config << " length " << in.length;
  }
}

TEST_P(Scan, OutputsAreFiniteForHugeScores) {
  for (const bool isFirstK : {false, true}) {
    const nlohmann::json spec = specOf(isFirstK, 16, 32, "float32");
    Inputs in = inputs(spec, 150, "float32");
    for (double &x : in.k)
      x = static_cast<float>(x * 1e20);
    for (double x : device.run(spec.dump(), in))
      ASSERT_TRUE(std::isfinite(x)) << spec;
  }
}

/// Two landmarks much alike, and scores that are small differences of large sums: what is rounded
/// of them grows a hundredfold in A+. Of one sum over all 256 columns the median is 1e-5 on a CPU.
TEST_P(Scan, ScoresOfLandmarksMuchAlikeAreSumsOfFewColumns) {
  const int64_t heads = device.gpu ? 48 : 256;
  constexpr int64_t length = 16;
  constexpr int64_t dim = 256;
  const nlohmann::json spec = specOf(false, 2, dim, "float32");
  Inputs in = randomInputs(random.generator, 1, heads, heads, length, dim);
  std::normal_distribution<double> normal;
  in.landmarkQ.resize(size_t(heads * 2 * dim));
  in.landmarkK.resize(in.landmarkQ.size());
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t e = 0; e < dim; ++e) {
      const size_t first = size_t(h * 2 * dim + e);
      const double query = normal(random.generator);
      for (const size_t i : {first, first + dim}) {
        in.landmarkQ[i] =
            rounded(query + 0.1 * (i == first ? 0 : normal(random.generator)), "float32");
        const double large = e < dim / 2 ? 3 * query : -3 * query;
        in.landmarkK[i] = rounded(normal(random.generator) + large, "float32");
      }
    }
  Device::Program program = device.prepare(spec.dump());
  const std::vector<double> o = device.run(program.get(), in, "float32");
  const std::vector<double> right = expected(spec.dump(), in);
  std::vector<double> errors;
  const ptrdiff_t size = length * dim;
  for (auto a = o.begin(), b = right.begin(); a != o.end(); a += size, b += size)
    errors.push_back(relativeError(std::vector(a, a + size), std::vector(b, b + size)));
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() / 2], 7e-6);
}

} // namespace
