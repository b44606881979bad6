// A GPU's clock, from a management library that is there, that is not, or that knows another GPU.
#include "runtime/gpu/gpu_clock.h"

#include <gtest/gtest.h>

#include <cstdlib>

using namespace nysjit;

namespace {

TEST(GpuClock, IsWhatTheLibrarySays) {
  const GpuClock clock("0000:0a:00.0", FAKE_NVML);
  setenv("FAKE_NVML_MHZ", "1755", 1);
  EXPECT_EQ(clock.megahertz(), 1755);
  setenv("FAKE_NVML_MHZ", "1410", 1);
  EXPECT_EQ(clock.megahertz(), 1410);
  unsetenv("FAKE_NVML_MHZ"); // it does not know now
  EXPECT_EQ(clock.megahertz(), std::nullopt);
}

TEST(GpuClock, IsUnknownWhereTheLibraryOrTheGpuIs) {
  setenv("FAKE_NVML_MHZ", "1755", 1);
  EXPECT_EQ(GpuClock("0000:0b:00.0", FAKE_NVML).megahertz(), std::nullopt);
  EXPECT_EQ(GpuClock("0000:0a:00.0", "/absent/libnvidia-ml.so.1").megahertz(), std::nullopt);
  EXPECT_EQ(GpuClock("0000:0a:00.0", "libdl.so.2").megahertz(), std::nullopt); // not such a library
  unsetenv("FAKE_NVML_MHZ");
}

} // namespace
