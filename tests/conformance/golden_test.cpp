// The golden cases through the kernels: every dtype, every target.
#include "tests/conformance/conformance.h"
#include "tests/reference/golden.h"

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
  Inputs in;
  auto numbers = [&](const char *array) {
    return c.has(array) ? c.arrays.at(array).toDouble() : std::vector<double>();
  };
  auto integers = [&](const char *array) {
    return c.has(array) ? c.arrays.at(array).toInt64() : std::vector<int64_t>();
  };
  const std::vector<int64_t> shape = c.shape("q");
  in.batch = c.isPacked() ? 1 : shape[0];
  in.queryHeads = shape[1];
  in.keyHeads = c.shape("k")[1];
  in.length = c.isPacked() ? shape[0] : shape[2];
  in.headDim = shape.back();
  in.q = numbers("q");
  in.k = numbers("k");
  in.v = numbers("v");
  in.landmarkQ = numbers("landmark_q");
  in.landmarkK = numbers("landmark_k");
  in.conv = numbers("conv");
  in.cuSeqlens = integers("cu_seqlens");
  in.seqlens = integers("seqlens");
  in.sourceLen = integers("source_len");
  for (const Sequence &sequence : in.isPacked() ? in.sequences() : std::vector<Sequence>())
    in.maxLength = std::max(in.maxLength, sequence.length);
  in.scale = c.scale;
  for (std::vector<double> *x : {&in.q, &in.k, &in.v, &in.landmarkQ, &in.landmarkK, &in.conv})
    for (double &value : *x)
      value = rounded(value, dtype);
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
