// The golden cases through the kernels: every dtype, every target.
#include "tests/conformance/conformance.h"
#include "tests/conformance/golden_inputs.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Cases whose layout has kernels.
std::vector<std::string> supported() {
  std::vector<std::string> found;
  for (const std::string &name : golden::names()) {
    if (parseKernelSpec(golden::textOf(golden::root() + name + "/spec.json")).ok())
      found.push_back(name);
  }
  return found;
}

class Golden : public testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {};

TEST_P(Golden, WithinItsBound) {
  const auto &[name, dtype, target] = GetParam();
  const golden::Case c = golden::load(name);
  Inputs in = goldenInputs(c, dtype);
  in.hasGradients = false;
  auto spec = nlohmann::json::parse(golden::textOf(golden::root() + name + "/spec.json"));
  spec["dtype"] = dtype;
  Device device(target);
  const std::vector<double> o = device.run(spec.dump(), in, dtype);
  // float32 against the case's own output; 16 bits round the inputs, so against the reference on
  // what is left of them.
  const std::vector<double> right =
      dtype == "float32" ? c.arrays.at("o").toDouble() : expected(spec.dump(), in);
  const bool isHuge = name.ends_with("huge-scores"); // |scores| up to 1e4
  EXPECT_LE(relativeError(o, right), isHuge && dtype == "float32" ? 1e-4 : bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden,
                         testing::Combine(testing::ValuesIn(supported()),
                                          testing::Values("float32", "float16", "bfloat16"),
                                          testing::ValuesIn(places())),
                         [](const auto &info) {
                           return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param) +
                                           "_" + std::get<2>(info.param));
                         });

TEST(GoldenCases, AllAreHere) { EXPECT_EQ(supported().size(), 62u); }

} // namespace
