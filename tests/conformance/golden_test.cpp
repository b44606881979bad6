// The golden cases through the kernels: every dtype, every target.
#include "tests/conformance/conformance.h"
#include "tests/reference/golden.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Cases whose layout has kernels and which are neither packed nor padded.
std::vector<std::string> supported() {
  std::vector<std::string> found;
  for (const std::string &name : golden::names()) {
    const std::string folder = golden::root() + name;
    const bool isDense = !std::filesystem::exists(folder + "/cu_seqlens.npy") && !std::filesystem::exists(folder + "/seqlens.npy");
    if (isDense && parseKernelSpec(golden::textOf(folder + "/spec.json")).ok())
      found.push_back(name);
  }
  return found;
}

class Golden : public testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {};

TEST_P(Golden, WithinItsBound) {
  const auto &[name, dtype, target] = GetParam();
  const golden::Case c = golden::load(name);
  Inputs in{c.shape("q")[0], c.shape("q")[1], c.shape("k")[1], c.shape("q")[2], c.shape("q")[3], c.arrays.at("q").toDouble(),
            c.arrays.at("k").toDouble(), c.arrays.at("v").toDouble(), c.scale, false};
  for (std::vector<double> *x : {&in.q, &in.k, &in.v})
    for (double &value : *x)
      value = rounded(value, dtype);
  auto spec = nlohmann::json::parse(golden::textOf(golden::root() + name + "/spec.json"));
  spec["dtype"] = dtype;
  Device device(target);
  const std::vector<double> o = device.run(spec.dump(), in, dtype);
  // float32 against the case's own output; 16 bits round the inputs, so against the reference on what is left of them.
  const std::vector<double> right = dtype == "float32" ? c.arrays.at("o").toDouble() : expected(spec.dump(), in);
  const bool isHuge = name == "causal-huge-scores"; // |scores| up to 1e4
  EXPECT_LE(relativeError(o, right), isHuge && dtype == "float32" ? 1e-4 : bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden,
                         testing::Combine(testing::ValuesIn(supported()), testing::Values("float32", "float16", "bfloat16"), testing::ValuesIn(targets())),
                         [](const auto &info) { return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_" + std::get<2>(info.param)); });

TEST(GoldenCases, AllOfExactCausalAndCausalAreHere) {
  // 2 exact and 24 causal cases, less those with a convolution (2) and of variable length (3).
  EXPECT_EQ(supported().size(), 22u);
}

} // namespace
