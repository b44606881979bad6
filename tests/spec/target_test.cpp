// The table of targets, and devices.
#include "runtime/spec/target.h"

#include <gtest/gtest.h>

using namespace nysjit;

namespace {

TEST(Target, NamesGoBothWays) {
  for (const TargetRow &row : targetTable()) {
    Result<Target> target = parseTarget(row.name);
    ASSERT_TRUE(target.ok());
    EXPECT_EQ(*target, row.target);
    EXPECT_STREQ(targetName(*target), row.name);
    EXPECT_EQ(*targetRow(*target), &row);
  }
}

TEST(Target, AnUnknownOneNamesThoseThereAre) {
  for (const char *name : {"cpu", "", "cuda:sm_70", "cuda:sm_80a", "cuda", "cpu:x86-64-v2",
                           "cpu:native ", "CPU:native"}) {
    Result<Target> target = parseTarget(name);
    ASSERT_FALSE(target.ok()) << name;
    EXPECT_EQ(target.error().kind, ErrorKind::UnknownDevice);
    EXPECT_EQ(
        target.error().expected,
        "cpu:native, cpu:x86-64-v3, cpu:x86-64-v4, cuda:sm_80, cuda:sm_86, cuda:sm_89, cuda:sm_90, "
        "cuda:sm_100 or cuda:sm_120");
  }
}

TEST(Target, OneThatIsNotThereHasNoRow) {
  const Target sm75{CpuLevel::Native, TargetKind::Cuda, 75};
  const Result<const TargetRow *> row = targetRow(sm75);
  ASSERT_FALSE(row.ok());
  EXPECT_EQ(row.error().kind, ErrorKind::UnknownDevice);
  EXPECT_EQ(row.error().found, "sm_75");
  EXPECT_STREQ(targetName(sm75), "unknown");
}

TEST(Target, EachRowSaysWhatItsKindNeeds) {
  for (const auto &[name, target, cpu, gpu] : targetTable()) {
    const bool isNative = !target.isCuda() && target.level == CpuLevel::Native;
    EXPECT_EQ(cpu.vectorBits > 0, !target.isCuda() && !isNative) << name;
    EXPECT_EQ(cpu.vectorRegisters > 0, cpu.vectorBits > 0) << name;
    EXPECT_EQ(gpu.ptxVersion > 0, target.isCuda()) << name;
    EXPECT_EQ(gpu.sharedBytes > 0, target.isCuda()) << name;
    EXPECT_EQ(gpu.hasGridDependency, target.sm >= 90) << name;
  }
}

TEST(Target, AGpuGetsTheBestCodeThatRunsOnIt) {
  const std::pair<int, int> best[] = {{80, 80},   {86, 86},   {87, 86},   {89, 89},  {90, 90},
                                      {100, 100}, {103, 100}, {120, 120}, {121, 120}};
  for (const auto &[capability, sm] : best)
    EXPECT_EQ(targetForCapability(capability)->sm, sm) << capability;
  for (int capability : {75, 70, 110, 130}) {
    Result<Target> target = targetForCapability(capability);
    ASSERT_FALSE(target.ok()) << capability;
    EXPECT_EQ(target.error().kind, ErrorKind::Unavailable);
  }
  EXPECT_EQ(targetForCapability(75).error().found, "one of 7.5");
}

TEST(Device, NamesGoBothWays) {
  for (const char *name : {"cpu", "cuda", "ptx-emulator"})
    EXPECT_STREQ(deviceName(*parseDevice(name)), name);
  for (const char *name : {"", "gpu", "CUDA", "cuda:0"}) {
    Result<DeviceKind> device = parseDevice(name);
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(device.error().kind, ErrorKind::UnknownDevice);
    EXPECT_EQ(device.error().expected, "cpu, cuda or ptx-emulator");
  }
}

TEST(Device, RunsItsOwnTargetsOnly) {
  for (const auto &[name, target, cpu, gpu] : targetTable())
    for (DeviceKind device : {DeviceKind::Cpu, DeviceKind::Cuda, DeviceKind::PtxEmulator}) {
      Status status = checkTargetFits(target, device);
      EXPECT_EQ(status.ok(), target.isCuda() == (device != DeviceKind::Cpu)) << name;
      if (!status.ok()) {
        EXPECT_NE(status.error().message.find(name), std::string::npos);
      }
    }
}

} // namespace
