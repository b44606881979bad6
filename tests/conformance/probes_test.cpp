// causal with learned probes: the facts of its blocks, and what levels, tiles and merges must not
// show.
#include "tests/conformance/probe_specs.h"
#include "tests/conformance/sequences.h"
#include "tests/conformance/specs.h"

#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;
using nlohmann::json;

namespace {

template <typename... Of> json specOf(Of... of) { return probeSpec(of...); }

/// Tiles of queries within a segment and over several, both spacings.
const std::vector<json> specs = {specOf(64, 4, "dyadic"), specOf(12, 3, "dyadic", 2, 1),
                                 specOf(3, 2, "dyadic"), specOf(12, 3, "uniform", 1, 1),
                                 specOf(16, 1, "uniform")};

class Probes : public testing::TestWithParam<std::string> {
protected:
  Probes() : device(GetParam()) {}

  static json inDtype(json spec, const std::string &dtype) {
    spec["dtype"] = dtype;
    return spec;
  }
  void addProbes(Inputs &in, const json &spec, const std::string &dtype = "float32") {
    conformance::addProbes(random, in, spec, dtype);
  }
  Inputs inputs(const json &spec, int64_t length, const std::string &dtype = "float32",
                double spread = 1) {
    Inputs in = randomInputs(random.generator, 1, 2, 1, length, 32, dtype, spread);
    addProbes(in, spec, dtype);
    return in;
  }
  static std::vector<double> exact(const Inputs &in) {
    Inputs plain = in;
    plain.landmarkQ.clear();
    return expected(exactSpec, plain);
  }

  Seeded random;
  Device device;
};
INSTANTIATE_TEST_SUITE_P(Targets, Probes, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

TEST_P(Probes, OneThatEveryQueryEqualsIsExact) {
  // The longest segments are several tiles of the summary's: its maximum moves.
  for (const json &spec :
       {specOf(64, 1, "dyadic"), specOf(5, 1, "dyadic", 3, 1), specOf(7, 1, "uniform"),
        specOf(1, 1, "dyadic"), specOf(150, 1, "dyadic"), specOf(200, 1, "uniform")}) {
    Inputs in = inputs(spec, int64_t(spec["segment_len"]) > 100 ? 460 : 300);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t t = 0; t < in.length; ++t)
        std::copy_n(in.landmarkQ.begin() + h * 32, 32,
                    in.q.begin() + ptrdiff_t(in.index(0, h, t, 0, 2)));
    EXPECT_LE(relativeError(device.run(spec.dump(), in), exact(in)), 1e-5) << spec;
  }
}

TEST_P(Probes, WhatIsNearOrAPositionAloneIsExact) {
  for (const json &spec :
       {specOf(1, 3, "uniform"), specOf(100, 2, "dyadic", 1, 2), specOf(300, 2, "uniform")}) {
    const Inputs in = inputs(spec, 300);
    EXPECT_LE(relativeError(device.run(spec.dump(), in), exact(in)), 1e-5) << spec;
  }
}

/// Every score is the same number, however large: weights are as if it were 0.
TEST_P(Probes, EqualScoresOfAnySizeGiveTheRunningMean) {
  for (const json &spec : specs)
    for (const double each : {0.0, 0.25, 1000.0, 1e6}) {
      Inputs in = inputs(spec, 330);
      for (std::vector<double> *x : {&in.q, &in.k, &in.landmarkQ})
        std::fill(x->begin(), x->end(), each);
      const std::vector<double> o = device.run(spec.dump(), in);
      double sum = 0;
      for (int64_t i = 0; i < in.length; ++i) {
        sum += in.v[in.index(0, 0, i, 7, 1)];
        ASSERT_NEAR(o[in.index(0, 0, i, 7, 2)], sum / double(i + 1), 1e-5)
            << spec << " each " << each << " position " << i;
      }
    }
}

TEST_P(Probes, ConstantValueComesBack) {
  for (const json &spec : specs) {
    Inputs in = inputs(spec, 300, "float32", 3);
    std::fill(in.v.begin(), in.v.end(), -2.5);
    for (double value : device.run(spec.dump(), in))
      ASSERT_NEAR(value, -2.5, 1e-5) << spec;
  }
}

TEST_P(Probes, LaterPositionsChangeNoBit) {
  for (const json &each : specs)
    for (const std::string dtype : {"float32", "float16", "bfloat16"}) {
      const std::string spec = inDtype(each, dtype).dump();
      Inputs in = inputs(each, 300, dtype);
      const std::vector<double> before = device.run(spec, in, dtype);
      const int64_t last = random.between(0, 298);
      change(random, in, 0, last + 1, 300, dtype);
      EXPECT_GT(firstDifference(before, device.run(spec, in, dtype), in, 0), last) << spec;
      const double value = random.oneOf<double>({NAN, INFINITY, -INFINITY});
      const int64_t at = random.between(last + 1, 299);
      std::vector<double> &x = random.between(0, 1) ? in.k : in.v;
      x[in.index(0, 0, at, random.between(0, 31), 1)] = value;
      const std::vector<double> after = device.run(spec, in, dtype);
      EXPECT_GT(firstDifference(before, after, in, 0), last)
          << spec << " " << value << " at " << at << ", rows up to " << last;
      EXPECT_FALSE(std::isfinite(after[in.index(0, 0, at, 0, 2)]) &&
                   std::isfinite(after[in.index(0, 1, 299, 0, 2)]) && std::isnan(value) &&
                   &x == &in.k)
          << spec << " shows no NaN";
    }
}

TEST_P(Probes, OutputAtAPositionDoesNotDependOnTheLength) {
  for (const json &each : specs) {
    const std::string dtype = random.oneOf<std::string>({"float32", "bfloat16"});
    const std::string spec = inDtype(each, dtype).dump();
    const Inputs whole = inputs(each, 400, dtype);
    const std::vector<double> all = device.run(spec, whole, dtype);
    for (int64_t length : {int64_t(1), random.between(2, 399), int64_t(256)}) {
      Inputs cut = whole;
      cut.seqlens = {length};
      cut.maxLength = length;
      Inputs shorter = alone(cut, 0);
      const std::vector<double> some = device.run(spec, shorter, dtype);
      EXPECT_TRUE(partOf(all, cut, 0, 2) == some) << spec << " " << length;
    }
  }
}

TEST_P(Probes, HaveTheSameBitsAloneAndAmongOthers) {
  for (const json &each : specs) {
    const std::string dtype = random.oneOf<std::string>({"float32", "bfloat16"});
    Device::Program program = device.prepare(inDtype(each, dtype).dump());
    for (const char *form : {"packed", "padded"}) {
      Inputs in = sequencesIn(form, random, {random.between(1, 60), 0, 290, 131}, dtype);
      addProbes(in, each, dtype);
      const std::vector<double> o = device.run(program.get(), in, dtype);
      EXPECT_EQ(in.largestOutside(o), 0);
      for (size_t b = 0; b < 4; ++b)
        EXPECT_TRUE(partOf(o, in, b, 2) == device.run(program.get(), alone(in, b), dtype))
            << each << form << ", sequence " << b;
      change(random, in, 2, 0, 290, dtype);
      in.v[in.rowOf(in.sequences()[2], 0, 289, 1)] = NAN;
      const std::vector<double> changed = device.run(program.get(), in, dtype);
      for (size_t b : {0, 1, 3})
        EXPECT_TRUE(partOf(o, in, b, 2) == partOf(changed, in, b, 2)) << each << form << b;
    }
  }
}

TEST_P(Probes, OutputsAreFiniteForHugeScores) {
  for (double spread : {1e3, 1e10, 3e13}) // |scores| to 1e28
    for (const json &spec : specs)
      for (double value : device.run(spec.dump(), inputs(spec, 350, "float32", spread)))
        ASSERT_TRUE(std::isfinite(value)) << spec << " spread " << spread;
}

/// Random directions, or all around one: then scores are large and their differences small.
TEST_P(Probes, ErrorsStayWithinTheBoundForScoresOfAnySize) {
  for (const json &each : specs)
    for (const double size : {1.0, 30.0, 1e3, 1e4, 1e6})
      for (const bool isAroundOne : {false, true}) {
        const std::string dtype = random.oneOf<std::string>({"float32", "float16", "bfloat16"});
        const std::string spec = inDtype(each, dtype).dump();
        Inputs in = inputs(each, random.between(100, 300), dtype);
        in.scale = static_cast<float>(in.scale * size / (isAroundOne ? 32 : 1));
        if (isAroundOne)
          for (std::vector<double> *x : {&in.q, &in.k, &in.landmarkQ})
            for (double &value : *x)
              value = rounded(3 + 0.2 * value, dtype);
        EXPECT_LE(relativeError(device.run(spec, in, dtype), expected(spec, in)),
                  bound(spec, in, GetParam()))
            << spec << " size " << size << (isAroundOne ? " around one direction" : "");
      }
}

/// Merges over all levels there can be, in one kernel after the other.
TEST_P(Probes, ManyLevelsStayWithinTheBound) {
  json spec = specOf(2, 2, "dyadic");
  spec["head_dim"] = 16;
  spec["landmarks"] = 65536;
  const int64_t length = device.gpu ? 2100 : 131072;
  Inputs in = randomInputs(random.generator, 1, 1, 1, length, 16);
  addProbes(in, spec);
  EXPECT_LE(relativeError(device.run(spec.dump(), in), expected(spec.dump(), in)), 1e-5);
}

/// More tiles than a GPU's shared memory holds at once: they take turns.
TEST_P(Probes, AsManyAsThereCanBeStayWithinTheBound) {
  json spec = specOf(16, 16, "dyadic");
  spec["head_dim"] = 128;
  Inputs in = randomInputs(random.generator, 1, 2, 1, 150, 128);
  addProbes(in, spec);
  EXPECT_LE(relativeError(device.run(spec.dump(), in), expected(spec.dump(), in)), 1e-5);
}

// Two vectors and three numbers a block and probe; dyadic, two blocks a segment.
TEST_P(Probes, MemoryBetweenKernelsIsTheBlocks) {
  constexpr size_t ofAlignment = 5 * 256; // a buffer's end
  for (const json &spec : specs) {
    const Device::Program program = device.prepare(spec.dump());
    const Inputs in = inputs(spec, 1000);
    const Arguments arguments(device.gpu.get(), in, "float32", "float32");
    size_t bytes = 0;
    ASSERT_EQ(nysjit_workspace_size(program.get(), &arguments.args, &bytes), NYSJIT_OK)
        << nysjit_last_error();
    const size_t blocks =
        (spec["landmark_spacing"] == "dyadic" ? 2 : 1) * size_t(1000 / int(spec["segment_len"]));
    const size_t rows = size_t(in.queryHeads) * size_t(spec["probes"]);
    EXPECT_LE(bytes, blocks * rows * (2 * 32 + 3) * sizeof(float) + ofAlignment) << spec;
  }
}

} // namespace
