// What a parsed spec holds, its canonical form, its scope, and targets.
#include "runtime/spec/spec.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace nysjit;

namespace {

std::string canonical(std::string_view text) {
  Result<KernelSpec> spec = parseKernelSpec(text);
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return spec.ok() ? canonicalJson(*spec) : "";
}

TEST(Spec, HoldsWhatTheTextSays) {
  Result<KernelSpec> spec = parseKernelSpec(
      R"({"layout": "causal", "head_dim": 128, "landmarks": 64, "segment_len": 32, "window": 3,
          "landmark_weight": "count", "landmark_value": "streaming", "dtype": "bfloat16"})");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->layout, Layout::Causal);
  EXPECT_EQ(spec->headDim, 128);
  EXPECT_EQ(spec->landmarks, 64);
  EXPECT_EQ(spec->segmentLen, 32);
  EXPECT_EQ(spec->window, 3);
  EXPECT_EQ(spec->landmarkWeight, LandmarkWeight::Count);
  EXPECT_EQ(spec->landmarkValue, LandmarkValue::Streaming);
  EXPECT_EQ(spec->dtype, DType::BFloat16);
}

TEST(Spec, DefaultsAreTheContracts) {
  EXPECT_EQ(
      canonical(R"({"layout":"causal","head_dim":64,"landmarks":4})"),
      R"({"conv_kernel":0,"dtype":"float32","float32_math":"tf32x3","head_dim":64,"landmark_value":"nystrom",)"
      R"("landmark_weight":"tangent","landmarks":4,"layout":"causal","stabilizer":0.25,"window":0})");
  EXPECT_EQ(canonical(R"({"layout":"exact_causal","head_dim":64,"dtype":"float16"})"),
            R"({"dtype":"float16","head_dim":64,"layout":"exact_causal"})");
  EXPECT_EQ(
      canonical(R"({"layout":"bidirectional","head_dim":64,"landmarks":4,"dtype":"float16"})"),
      R"({"conv_kernel":0,"dtype":"float16","head_dim":64,)"
      R"("inverse_iterations":6,"landmarks":4,"layout":"bidirectional"})");
}

TEST(Spec, EqualSpecsHaveEqualCanonicalText) {
  std::string plain =
      canonical(R"({"layout":"causal","head_dim":64,"landmarks":4,"stabilizer":1})");
  EXPECT_EQ(plain, canonical(R"({"schema":1,"window":0,"stabilizer":1.0,)"
                             R"("landmarks":4,"head_dim":64,"layout":"causal"})"));
  EXPECT_EQ(plain, canonical("\n{\"stabilizer\": 10e-1, "
                             "\"layout\":\"\\u0063ausal\",\t\"head_dim\":64,\"landmarks\":4 } "));
  EXPECT_EQ(canonical(R"({"layout":"causal","head_dim":64,"landmarks":4,"stabilizer":-0.0})"),
            canonical(R"({"layout":"causal","head_dim":64,"landmarks":4,"stabilizer":0})"));
}

TEST(Spec, DifferentSpecsHaveDifferentCanonicalText) {
  std::string plain = canonical(R"({"layout":"causal","head_dim":64,"landmarks":4})");
  EXPECT_NE(plain,
            canonical(R"({"layout":"causal","head_dim":64,"landmarks":4,"segment_len":16})"));
  EXPECT_NE(
      plain,
      canonical(R"({"layout":"causal","head_dim":64,"landmarks":4,"stabilizer":0.2500000001})"));
}

TEST(Spec, CanonicalTextParsesToItself) {
  for (const char *text :
       {R"({"layout":"causal","head_dim":64,"landmarks":4,"landmark_value":"streaming"})",
        R"({"layout":"scan","head_dim":64,"landmarks":4,"landmark_source":"first_k","first_k":8})",
        R"({"layout":"prefix_lm","head_dim":16,"landmarks":4,"stabilizer":0.1,"conv_kernel":3})"})
    EXPECT_EQ(canonical(canonical(text)), canonical(text));
}

TEST(Target, NamesGoBothWays) {
  for (const char *name :
       {"cpu:native", "cpu:x86-64-v3", "cpu:x86-64-v4", "cuda:sm_80", "cuda:sm_86", "cuda:sm_89",
        "cuda:sm_90", "cuda:sm_100", "cuda:sm_120"}) {
    Result<Target> target = parseTarget(name);
    ASSERT_TRUE(target.ok());
    EXPECT_STREQ(targetName(*target), name);
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
  for (const Target &target : allTargets())
    for (DeviceKind device : {DeviceKind::Cpu, DeviceKind::Cuda, DeviceKind::PtxEmulator}) {
      Status status = checkTargetFits(target, device);
      EXPECT_EQ(status.ok(), target.isCuda() == (device != DeviceKind::Cpu)) << targetName(target);
      if (!status.ok()) {
        EXPECT_NE(status.error().message.find(targetName(target)), std::string::npos);
      }
    }
}

} // namespace
