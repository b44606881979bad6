// The model over the emulator's counts, against numbers worked out by hand.
#include "runtime/tune/emulator_model.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

/// So many million cycles of each of an sm_80's multiprocessors.
nysjit_emulator_counts countsOf(double products, double traffic, double instructions,
                                double conflicts) {
  const GpuRates &rates = gpuRates(80);
  const double cycles = 1e6 * rates.multiprocessors;
  nysjit_emulator_counts counts = {};
  counts.mma_flops = int64_t(products * cycles * 2048);
  counts.global_sectors = int64_t(traffic * cycles * rates.bytes / 32);
  counts.instructions = int64_t(instructions * cycles * 4);
  counts.bank_conflicts = int64_t(conflicts * cycles);
  return counts;
}

TEST(EmulatorModel, EachCountTakesItsTime) {
  const GpuRates &rates = gpuRates(80);
  EXPECT_STREQ(rates.gpu, "A100 SXM 40 GB");
  const double ms = 1 / 1.41; // a million cycles at 1.41 GHz
  const auto at = [&](double products, double traffic, double instructions, double conflicts) {
    return modelMs(countsOf(products, traffic, instructions, conflicts), rates, DType::Float16);
  };
  EXPECT_NEAR(at(1, 0, 0, 0), ms, 1e-6 * ms);
  EXPECT_NEAR(at(0, 1, 0, 0), ms, 1e-6 * ms);
  EXPECT_NEAR(at(0, 0, 1, 0), ms, 1e-6 * ms);
  EXPECT_NEAR(at(0, 0, 0, 1), ms, 1e-6 * ms);
  EXPECT_NEAR(at(2, 3, 4, 5), 14 * ms, 1e-5 * ms);
  EXPECT_EQ(at(0, 0, 0, 0), 0);
  // tf32 has half the rate.
  EXPECT_NEAR(modelMs(countsOf(1, 0, 0, 0), rates, DType::Float32), 2 * ms, 1e-6 * ms);
}

TEST(EmulatorModel, ProductsAndTrafficAreTheVendorsRates) {
  // A100: 312 TFLOP/s and 1555 GB/s; H100 SXM: 989 TFLOP/s and 3350 GB/s.
  for (const auto &[capability, tflops, gigabytes] :
       {std::tuple(80, 312.0, 1555.0), std::tuple(90, 989.0, 3350.0)}) {
    const GpuRates &rates = gpuRates(capability);
    const double cycles = rates.multiprocessors * rates.gigahertz; // in 1e9 a second
    EXPECT_NEAR(rates.mmaFlops * cycles / 1e3, tflops, 0.01 * tflops);
    EXPECT_NEAR(rates.bytes * cycles, gigabytes, 0.01 * gigabytes);
  }
}

TEST(EmulatorModel, ACapabilityWithoutARowTakesTheOneBefore) {
  EXPECT_EQ(gpuRates(87).capability, 86);
  EXPECT_EQ(gpuRates(75).capability, 80);
  EXPECT_EQ(gpuRates(1000).capability, 120);
}

} // namespace
