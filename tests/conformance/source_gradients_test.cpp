// Gradients of layouts with a source: what they are where it is all or nothing of a sequence, and
// what a cut in the target leaves as it was, to the bit.
#include "tests/conformance/gradient_traces.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

constexpr int64_t headDim = 32;

/// prefix_lm in each kind of weights and values.
struct Kind {
  const char *name;
  const char *rest; // of the spec
};
constexpr Kind kinds[] = {
    {"tangent", R"("stabilizer": 0.25})"},
    {"count", R"("landmark_weight": "count"})"},
    {"tangent, streaming", R"("landmark_value": "streaming"})"},
    {"count, streaming", R"("landmark_weight": "count", "landmark_value": "streaming"})"},
};

std::string specOf(const std::string &layout, const std::string &rest) {
  return R"({"layout": ")" + layout + R"(", "head_dim": 32, "landmarks": 33, "segment_len": 12, )" +
         rest;
}

class SourceGradients : public testing::TestWithParam<std::string> {
protected:
  Seeded random;
  Device device{GetParam()};

  Inputs inputs(int64_t least) { return inputs(least, device.gpu ? 60 : 200); }
  Inputs inputs(int64_t least, int64_t most) {
    const int64_t length = random.between(least, most);
    Inputs in = randomInputs(random.generator, 1, 2, 1, length, headDim);
    addOutputGradient(random.generator, in);
    return in;
  }
  /// Within their bound of those of another program.
  void expectClose(const Written &found, const Written &expected, const Inputs &in) {
    const double scale = reference::norm(in.dout);
    for (const char *name : {"dq", "dk", "dv"})
      EXPECT_LE(reference::gradientError(found.at(name), expected.at(name), scale), 1e-5) << name;
  }
};

TEST_P(SourceGradients, OfASourceAloneAreThoseOfBidirectional) {
  for (const Kind &kind : kinds) {
    SCOPED_TRACE(kind.name);
    Inputs in = inputs(1);
    const std::string plain = R"({"layout": "bidirectional", "head_dim": 32, "landmarks": 33, )"
                              R"("segment_len": 12})";
    const Written expected = runGradients(device, plain, in);
    in.sourceLen = {in.length};
    expectClose(runGradients(device, specOf("prefix_lm", kind.rest), in), expected, in);
  }
}

TEST_P(SourceGradients, WithoutASourceAreThoseOfCausal) {
  for (const Kind &kind : kinds) {
    SCOPED_TRACE(kind.name);
    Inputs in = inputs(1);
    const Written expected = runGradients(device, specOf("causal", kind.rest), in);
    in.sourceLen = {0};
    expectClose(runGradients(device, specOf("prefix_lm", kind.rest), in), expected, in);
  }
}

TEST_P(SourceGradients, ACutInTheTargetLeavesNoTrace) {
  for (const Kind &kind : kinds) {
    Inputs in = inputs(2);
    const int64_t source = random.between(0, in.length - 1);
    SCOPED_TRACE(std::string(kind.name) + ", source " + std::to_string(source));
    in.sourceLen = {source};
    expectNoTrace(device, specOf("prefix_lm", kind.rest), in,
                  random.between(std::max<int64_t>(source, 1), in.length - 1), random);
  }
}

// One position sees itself alone: a weight of 1, which has no gradient, to the bit where products
// are of float32.
TEST_P(SourceGradients, OfOnePositionAreThoseOfItsValue) {
  for (const char *layout : {"bidirectional", "prefix_lm"}) {
    SCOPED_TRACE(layout);
    Inputs in = inputs(1, 1);
    if (std::string(layout) == "prefix_lm")
      in.sourceLen = {1};
    const std::string spec = specOf(layout, R"("inverse_iterations": 6})");
    const Written found = runGradients(device, spec, in);
    for (const char *name : {"dq", "dk"})
      EXPECT_LE(reference::norm(found.at(name)), device.gpu ? 4e-7 * reference::norm(in.dout) : 0.0)
          << name;
    expectGradients(spec, in, {{"dv", found.at("dv")}}, device.place.isGpu());
  }
}

// Sums over rows and positions in parts, which begin where no segment does. (FusedGradients has
// those that are fused.)
TEST_P(SourceGradients, InPartsAreTheReferences) {
  nlohmann::json parts = {{"source_far_gradient", {{"split", 256}, {"block_n", 16}}},
                          {"past_gradient", {{"split", 256}, {"block_n", 32}}}};
  nlohmann::json prefix = parts;
  prefix["far_gradient"] = {{"split", 256}, {"block_n", 16}};
  if (!device.gpu) { // there it is no key
    parts["source_position_gradient"]["fused"] = 0;
    prefix["target_position_gradient"]["fused"] = 0;
  }
  for (const Kind &kind : kinds) {
    Inputs in = inputs(257, device.gpu ? 270 : 380);
    in.sourceLen = {random.between(0, in.length)};
    const std::string spec = specOf("prefix_lm", kind.rest);
    SCOPED_TRACE(std::string(kind.name) + ": " + std::to_string(in.length) + " positions, source " +
                 std::to_string(in.sourceLen[0]));
    expectGradients(spec, in, runGradients(device, spec, in, {.config = prefix.dump()}),
                    device.place.isGpu());
  }
  const std::string spec = specOf("bidirectional", R"("inverse_iterations": 3})");
  const Inputs in = inputs(257, device.gpu ? 270 : 380);
  expectGradients(spec, in, runGradients(device, spec, in, {.config = parts.dump()}),
                  device.place.isGpu());
}

INSTANTIATE_TEST_SUITE_P(Places, SourceGradients, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

} // namespace
