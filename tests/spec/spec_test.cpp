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
      R"({"conv_kernel":0,"dtype":"float32","float32_math":"tf32x3","head_dim":64,)"
      R"("landmark_source":"segment_mean","landmark_value":"nystrom","landmark_weight":"tangent",)"
      R"("landmarks":4,"layout":"causal","pass":"forward",)"
      R"("stabilizer":0.25,"window":0})");
  EXPECT_EQ(canonical(R"({"layout":"exact_causal","head_dim":64,"dtype":"float16"})"),
            R"({"dtype":"float16","head_dim":64,"layout":"exact_causal","pass":"forward"})");
  EXPECT_EQ(
      canonical(R"({"layout":"bidirectional","head_dim":64,"landmarks":4,"dtype":"float16"})"),
      R"({"conv_kernel":0,"dtype":"float16","head_dim":64,)"
      R"("inverse_iterations":6,"landmarks":4,"layout":"bidirectional","pass":"forward"})");
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
        R"({"layout":"prefix_lm","head_dim":16,"landmarks":4,"stabilizer":0.1,"conv_kernel":3})",
        R"({"layout":"causal","head_dim":64,"landmarks":4,"landmark_source":"learned","probes":2})",
        R"({"layout":"causal","head_dim":64,"landmarks":4000,"landmark_source":"learned",)"
        R"("probes":2,"landmark_spacing":"dyadic","segment_len":8,"level_width":3})"})
    EXPECT_EQ(canonical(canonical(text)), canonical(text));
}

} // namespace
