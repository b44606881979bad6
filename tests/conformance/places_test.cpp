// Which of the places that programs run in this machine has. Where it lacks one no test of this
// folder runs there, and that is said here.
#include "tests/conformance/conformance.h"

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Places : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Each, Places,
                         testing::Values("cpu:x86-64-v3", "cpu:x86-64-v4", "cpu:native",
                                         "ptx-emulator eager cuda:sm_80", "cuda"),
                         [](const auto &info) { return testName(info.param); });

TEST_P(Places, RunsAProgram) {
  const std::vector<std::string> here = places();
  if (std::find(here.begin(), here.end(), GetParam()) == here.end())
    GTEST_SKIP() << (GetParam() == "cuda"
                         ? "no CUDA driver with a GPU: nothing ran on a GPU"
                         : "this CPU has no AVX-512: nothing ran as " + GetParam());
  const char *const spec = R"({"layout": "causal", "head_dim": 32, "landmarks": 4})";
  Seeded random;
  const Inputs in = randomInputs(random.generator, 1, 2, 1, 70, 32);
  Device device(GetParam());
  EXPECT_LE(relativeError(device.run(spec, in), expected(spec, in)), bound("float32"));
}

} // namespace
