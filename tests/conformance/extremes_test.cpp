// Scores of any size, and numbers that are not finite at any place relative to a row.
#include "tests/conformance/conformance.h"
#include "tests/conformance/specs.h"

#include <algorithm>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Extremes : public testing::TestWithParam<std::string> {
protected:
  Extremes() : device(GetParam()) {}
  Seeded random;
  Device device;
};
INSTANTIATE_TEST_SUITE_P(Targets, Extremes, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

const char *const countSpec = R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
                              R"("segment_len": 12, "landmark_weight": "count"})";
const char *const wholeTilesSpec = R"({"layout": "causal", "head_dim": 32, "landmarks": 8, )"
                                   R"("segment_len": 64})";
const char *const scanSpec = R"({"layout": "scan", "head_dim": 32, "landmarks": 16, )"
                             R"("landmark_source": "first_k", "first_k": 32})";
// more landmarks than one tile holds
const char *const wideScanSpec = R"({"layout": "scan", "head_dim": 32, "landmarks": 272, )"
                                 R"("landmark_source": "first_k", "first_k": 272})";

Inputs inputsOf(const char *spec, Seeded &random, int64_t length, const std::string &dtype) {
  Inputs in = randomInputs(random.generator, 1, 2, 1, length, 32, dtype);
  if (spec == prefixSpec)
    in.sourceLen = {random.between(1, 35)};
  return in;
}

/// Every score is the same number, however large: weights are as if it were 0.
TEST_P(Extremes, EqualScoresOfAnySizeGiveTheRunningMean) {
  for (const char *spec :
       {causalSpec, countSpec, wholeTilesSpec, streamingSpec, exactSpec, scanSpec, wideScanSpec})
    for (const double each : {0.25, 20.0, 1000.0, 1e4, 1e6}) { // scores to 6e12
      const int64_t length = spec == wideScanSpec ? 300 : 150;
      Inputs in = randomInputs(random.generator, 1, 1, 1, length, 32);
      std::fill(in.q.begin(), in.q.end(), each);
      std::fill(in.k.begin(), in.k.end(), each);
      const std::vector<double> o = device.run(spec, in);
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) {
        sum += in.v[in.index(0, 0, i, 7, 1)];
        ASSERT_NEAR(o[in.index(0, 0, i, 7, 1)], sum / double(i + 1), 1e-5)
            << spec << " each " << each << " position " << i;
      }
    }
}

/// The same where the future is seen, beside the reference.
TEST_P(Extremes, EqualScoresOfAnySizeAreExactInAllLayouts) {
  for (const char *spec : {bidirectionalSpec, segmentSpec, prefixSpec})
    for (const double each : {20.0, 1000.0, 1e4}) {
      Inputs in = inputsOf(spec, random, 150, "float32");
      std::fill(in.q.begin(), in.q.end(), each);
      std::fill(in.k.begin(), in.k.end(), each);
      EXPECT_LE(relativeError(device.run(spec, in), expected(spec, in)), 1e-5)
          << spec << " each " << each;
    }
}

/// Random directions, or all around one: then scores are large and their differences small.
TEST_P(Extremes, ErrorsStayWithinTheBoundForScoresOfAnySize) {
  for (const char *spec : {causalSpec, countSpec, wholeTilesSpec, streamingSpec, exactSpec,
                           segmentSpec, bidirectionalSpec, prefixSpec, scanSpec})
    for (const double size : {1.0, 30.0, 1e3, 1e4, 1e5, 1e6, 1e8})
      for (const bool isAroundOne : {false, true}) {
        const std::string dtype = random.oneOf<std::string>({"float32", "float16", "bfloat16"});
        const std::string own = inDtype(spec, dtype);
        Inputs in = inputsOf(spec, random, random.between(100, 200), dtype);
        in.scale = static_cast<float>(in.scale * size / (isAroundOne ? 32 : 1));
        if (isAroundOne)
          for (std::vector<double> *x : {&in.q, &in.k})
            for (double &value : *x)
              value = rounded(3 + 0.2 * value, dtype);
        const std::vector<double> o = device.run(own, in, dtype);
        EXPECT_LE(relativeError(o, expected(own, in)), bound(own, in, GetParam()))
            << own << " size " << size << (isAroundOne ? " around one direction" : "");
      }
}

/// One number of q, k or v at `position`, replaced.
Inputs with(const Inputs &in, char tensor, int64_t position, int64_t element, double value) {
  Inputs changed = in;
  std::vector<double> &x = tensor == 'q' ? changed.q : tensor == 'k' ? changed.k : changed.v;
  const int64_t heads = tensor == 'q' ? in.queryHeads : in.keyHeads;
  x[in.index(0, heads - 1, position, element, heads)] = value;
  return changed;
}

/// What is not finite is not seen from before, and is from where it stands on.
TEST_P(Extremes, WhatIsNotFiniteChangesNoBitBefore) {
  const int64_t length = 200;
  for (const char *spec : {causalSpec, countSpec, wholeTilesSpec, streamingSpec, plainSolveSpec,
                           exactSpec, prefixSpec, scanSpec})
    for (const std::string math : {"float32", "tf32", "float16", "bfloat16"}) {
      const std::string own = inDtype(spec, math);
      const std::string dtype = math == "tf32" ? "float32" : math;
      const Inputs in = inputsOf(spec, random, length, dtype);
      const std::vector<double> before = device.run(own, in, dtype);
      for (const char tensor : {'q', 'k', 'v', 'n'}) { // n: a NaN in v, whatever comes of chance
        const int64_t t = random.between(36, length - 1);
        const double value =
            tensor == 'n' ? NAN : random.oneOf<double>({NAN, NAN, INFINITY, -INFINITY});
        SCOPED_TRACE(testing::Message() << own << " " << tensor << " at " << t << " " << value);
        const int64_t element = random.between(0, 31);
        const std::vector<double> after =
            device.run(own, with(in, tensor, t, element, value), dtype);
        for (int64_t h = 0; h < 2; ++h)
          for (int64_t i = 0; i < t; ++i)
            for (int64_t e = 0; e < 32; ++e) {
              const size_t at = in.index(0, h, i, e, 2);
              ASSERT_TRUE(before[at] == after[at] ||
                          (std::isnan(before[at]) && std::isnan(after[at])))
                  << "row " << i << ": " << before[at] << " became " << after[at];
            }
        // its own row; of a key or value that is NaN all rows from there on, however far
        for (int64_t i = t; i < length && (tensor == 'q' || std::isnan(value)); ++i)
          if (i == t || tensor != 'q')
            ASSERT_FALSE(std::isfinite(after[in.index(0, 1, i, element, 2)])) << "row " << i;
      }
    }
}

/// Two infinities of a key make a NaN of one score and an infinity of another: to some landmarks it
/// leaps, to others it is no number.
TEST_P(Extremes, InfinitiesBesideNaNsChangeNoBitBefore) {
  const int64_t length = 120;
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const std::string own = inDtype(scanSpec, dtype);
    const Inputs in = inputsOf(scanSpec, random, length, dtype);
    const std::vector<double> before = device.run(own, in, dtype);
    for (int turn = 0; turn < 8; ++turn) {
      const int64_t t = random.between(36, length - 1);
      const int64_t element = random.between(0, 30);
      const Inputs one = with(in, 'k', t, element, INFINITY);
      const std::vector<double> after =
          device.run(own, with(one, 'k', t, element + 1, INFINITY), dtype);
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = 0; i < t; ++i)
          for (int64_t e = 0; e < 32; ++e)
            ASSERT_EQ(before[in.index(0, h, i, e, 2)], after[in.index(0, h, i, e, 2)])
                << own << " key " << t << " row " << i;
    }
  }
}

} // namespace
