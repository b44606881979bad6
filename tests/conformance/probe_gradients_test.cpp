// Gradients of causal with learned probes: facts of its blocks, and what parts, levels and merges
// must not show.
#include "tests/conformance/gradient_traces.h"
#include "tests/conformance/probe_specs.h"
#include "tests/conformance/specs.h"

using namespace nysjit;
using namespace nysjit::conformance;
using nlohmann::json;

namespace {

/// One cell for a segment's positions and several, rows of one segment and of several, both
/// spacings.
const std::vector<json> specs = {probeSpec(64, 4, "dyadic"), probeSpec(12, 3, "dyadic", 2, 1),
                                 probeSpec(130, 2, "dyadic"), probeSpec(3, 5, "dyadic"),
                                 probeSpec(12, 3, "uniform", 1, 1)};

/// As many segments as a sequence may have.
json manySegmentsSpec() {
  json spec = probeSpec(2, 2, "dyadic");
  spec["head_dim"] = 16;
  spec["landmarks"] = 65536;
  return spec;
}

class ProbeGradients : public testing::TestWithParam<std::string> {
protected:
  Inputs inputs(const json &spec, int64_t length, int64_t keyHeads = 1, int64_t queryHeads = 2) {
    Inputs in =
        randomInputs(random.generator, 1, queryHeads, keyHeads, length, int64_t(spec["head_dim"]));
    addOutputGradient(random.generator, in);
    addProbes(random, in, spec);
    return in;
  }
  /// exact_causal's on the same inputs.
  static reference::Gradients exactGradients(const Inputs &in) {
    Inputs plain = in;
    plain.landmarkQ.clear();
    return *reference::gradients(referenceInput(exactSpec, plain));
  }
  static double errorOf(const std::vector<double> &written, const std::vector<double> &right,
                        const Inputs &in) {
    return reference::gradientError(written, right, reference::norm(in.dout));
  }

  Seeded random;
  Device device{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Places, ProbeGradients, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

/// Where a query is the probe, its block's logit and value are the exact ones whatever the keys and
/// values are: so are dk and dv. The query moves off the probe alone, or both move: then the output
/// stays exact.
TEST_P(ProbeGradients, OneProbeThatEveryQueryEqualsHasTheExactOnes) {
  for (const json &spec : {probeSpec(64, 1, "dyadic"), probeSpec(5, 1, "dyadic", 3, 1),
                           probeSpec(7, 1, "uniform"), probeSpec(150, 1, "dyadic")}) {
    Inputs in = inputs(spec, int64_t(spec["segment_len"]) > 100 ? 460 : 300);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t t = 0; t < in.length; ++t)
        std::copy_n(in.landmarkQ.begin() + h * 32, 32,
                    in.q.begin() + ptrdiff_t(in.index(0, h, t, 0, 2)));
    const Written written = runGradients(device, spec.dump(), in);
    const reference::Gradients exact = exactGradients(in);
    EXPECT_LE(errorOf(written.at("dk"), exact.k, in), 1e-5) << spec;
    EXPECT_LE(errorOf(written.at("dv"), exact.v, in), 1e-5) << spec;
    std::vector<double> together = written.at("dlandmark_q");
    std::vector<double> exactly(together.size(), 0.0);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t t = 0; t < in.length; ++t)
        for (int64_t e = 0; e < 32; ++e) {
          together[size_t(h * 32 + e)] += written.at("dq")[in.index(0, h, t, e, 2)];
          exactly[size_t(h * 32 + e)] += exact.q[in.index(0, h, t, e, 2)];
        }
    EXPECT_LE(errorOf(together, exactly, in), 1e-5) << spec;
  }
}

TEST_P(ProbeGradients, WhatIsNearOrAPositionAloneHasTheExactOnes) {
  for (const json &spec : {probeSpec(1, 3, "uniform"), probeSpec(100, 2, "dyadic", 1, 2),
                           probeSpec(300, 2, "uniform")}) {
    const Inputs in = inputs(spec, 300);
    const Written written = runGradients(device, spec.dump(), in);
    const reference::Gradients exact = exactGradients(in);
    EXPECT_LE(errorOf(written.at("dq"), exact.q, in), 1e-5) << spec;
    EXPECT_LE(errorOf(written.at("dk"), exact.k, in), 1e-5) << spec;
    EXPECT_LE(errorOf(written.at("dv"), exact.v, in), 1e-5) << spec;
    const std::vector<double> none(written.at("dlandmark_q").size(), 0.0);
    EXPECT_LE(errorOf(written.at("dlandmark_q"), none, in), 1e-6) << spec;
  }
}

/// Equal values have no gradient but their own, and 16 magnifies every difference between probes'.
TEST_P(ProbeGradients, EqualValuesMoveNoScore) {
  for (const json &spec : specs) {
    Inputs in = inputs(spec, 300);
    std::fill(in.v.begin(), in.v.end(), 1.25);
    const Written written = runGradients(device, spec.dump(), in);
    for (const char *name : {"dq", "dk", "dlandmark_q"}) {
      const std::vector<double> none(written.at(name).size(), 0.0);
      EXPECT_LE(errorOf(written.at(name), none, in), 1e-5) << spec << " " << name;
    }
  }
}

/// What probes' keys or values have in common cancels, and 16 magnifies what is left: what is
/// rounded to 16 bits is too coarse for that.
TEST_P(ProbeGradients, KeysOrValuesWithAMeanStayWithinTheBound) {
  for (const char *dtype : {"bfloat16", "float16"})
    for (std::vector<double> Inputs::*tensor : {&Inputs::k, &Inputs::v}) {
      json spec = probeSpec(16, 4, "dyadic");
      spec["dtype"] = dtype;
      Inputs in = randomInputs(random.generator, 1, 2, 1, 600, 32, dtype);
      std::normal_distribution<double> normal;
      for (int64_t e = 0; e < 32; ++e) {
        const double mean = 4 * normal(random.generator);
        for (int64_t t = 0; t < in.length; ++t) {
          double &number = (in.*tensor)[in.index(0, 0, t, e, 1)];
          number = rounded(number + mean, dtype);
        }
      }
      addOutputGradient(random.generator, in, dtype);
      addProbes(random, in, spec, dtype);
      GradientOptions options;
      options.dtype = dtype;
      expectGradients(spec.dump(), in, runGradients(device, spec.dump(), in, options),
                      device.place.isGpu());
    }
}

TEST_P(ProbeGradients, RowsWithoutGradientLeaveNoTrace) {
  for (const json &each : specs) {
    const Inputs in = inputs(each, random.between(2, 330));
    expectNoTrace(device, each.dump(), in, random.between(1, in.length - 1), random, {},
                  {"dlandmark_q"});
  }
}

/// Several parts of rows and several cells for a group's probes.
TEST_P(ProbeGradients, PartsOfRowsAndGroupsStayWithinTheBound) {
  for (json spec : {probeSpec(16, 9, "dyadic"), probeSpec(40, 3, "uniform", 1, 1)}) {
    Inputs in = randomInputs(random.generator, 1, 4, 2, 700, 32);
    addOutputGradient(random.generator, in);
    addProbes(random, in, spec);
    GradientOptions options;
    options.config = R"({"block_rows": {"split": 256}})";
    expectGradients(spec.dump(), in, runGradients(device, spec.dump(), in, options),
                    device.place.isGpu());
  }
}

/// Gradients of blocks of all levels there can be, handed down in one kernel after the other.
TEST_P(ProbeGradients, ManyLevelsStayWithinTheBound) {
  const json spec = manySegmentsSpec();
  Inputs in = inputs(spec, device.gpu ? 1100 : 131072, 1, 1);
  expectGradients(spec.dump(), in, runGradients(device, spec.dump(), in), device.place.isGpu());
}

/// Each segment gives the probes the same, rounded the same way. In one sum from the first to the
/// last, 65536 of them would be 3e-4 off and more.
TEST_P(ProbeGradients, ManyEqualSegmentsAddUp) {
  const json spec = manySegmentsSpec();
  Inputs in = inputs(spec, device.gpu ? 1100 : 131072, 1, 1);
  constexpr int64_t segment = 2 * 16;
  for (std::vector<double> *tensor : {&in.k, &in.v})
    for (size_t i = segment; i < tensor->size(); ++i)
      (*tensor)[i] = (*tensor)[i - segment];
  std::fill(in.dout.begin(), in.dout.end() - 16, 0.0); // of all but the last row
  const Written written = runGradients(device, spec.dump(), in);
  const reference::Gradients right = *reference::gradients(referenceInput(spec.dump(), in));
  EXPECT_LE(errorOf(written.at("dlandmark_q"), right.landmarkQ, in), 1e-4);
}

/// More tiles than a GPU's shared memory holds at once: they take turns.
TEST_P(ProbeGradients, AsManyAsThereCanBeStayWithinTheBound) {
  json spec = probeSpec(16, 16, "dyadic");
  spec["head_dim"] = 128;
  Inputs in = randomInputs(random.generator, 1, 2, 1, 150, 128);
  addOutputGradient(random.generator, in);
  addProbes(random, in, spec);
  expectGradients(spec.dump(), in, runGradients(device, spec.dump(), in), device.place.isGpu());
}

} // namespace
