// What only the emulator can show of GPU kernels: no order of warps and no timing of copies changes
// a bit, and shared memory is read and written without bank conflicts where it counts.
#include "tests/conformance/conformance.h"

#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Emulated : public testing::TestWithParam<std::tuple<std::string, int>> {
protected:
  const std::string dtype = std::get<0>(GetParam());
  const int headDim = std::get<1>(GetParam());
  nlohmann::json exact = {{"layout", "exact_causal"}, {"head_dim", headDim}, {"dtype", dtype}};
  nlohmann::json causal = {{"layout", "causal"},
                           {"head_dim", headDim},
                           {"dtype", dtype},
                           {"landmarks", 40},
                           {"segment_len", 5}};
  Seeded random;
};
INSTANTIATE_TEST_SUITE_P(Dtypes, Emulated,
                         testing::Combine(testing::Values("float32", "float16", "bfloat16"),
                                          testing::Values(24, 64, 80, 128)),
                         [](const auto &info) {
                           return std::get<0>(info.param) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST_P(Emulated, TheSameBitsInAnyOrderAndTiming) {
  const Inputs in = randomInputs(random.generator, 1, 2, 1, 170, headDim, dtype);
  for (const nlohmann::json &spec : {exact, causal}) {
    Device device("ptx-emulator eager cuda:sm_80");
    Device::Program program = device.prepare(spec.dump());
    device.gpu->configure(false, 0, 80);
    const std::vector<double> o = device.run(program.get(), in, dtype);
    for (int round = 0; round < 4; ++round) {
      const bool isLazy = round % 2;
      const uint64_t seed = random.generator();
      device.gpu->configure(isLazy, seed, 80);
      ASSERT_EQ(o, device.run(program.get(), in, dtype))
          << spec << (isLazy ? " lazy, " : " eager, ") << "order " << seed;
    }
  }
}

TEST_P(Emulated, MatricesAndCopiesMeetNoBankConflict) {
  const Inputs in = randomInputs(random.generator, 1, 1, 1, 200, headDim, dtype);
  for (const nlohmann::json &spec : {exact, causal}) {
    Device device("ptx-emulator lazy cuda:sm_80");
    device.run(spec.dump(), in, dtype);
    // of the last launch: the output kernel
    const nysjit_emulator_counts counts = device.gpu->counts();
    EXPECT_GT(counts.mma_flops, 0) << spec;
    EXPECT_EQ(counts.ldmatrix_conflicts, 0) << spec;
    EXPECT_EQ(counts.shared_store_conflicts, 0) << spec;
  }
}

} // namespace
