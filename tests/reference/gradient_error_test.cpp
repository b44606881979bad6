// How far a gradient is from its reference, and how far it may be.
#include "runtime/reference/accuracy.h"
#include "runtime/reference/gradients.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace nysjit;
using reference::gradientBound;
using reference::gradientError;
using reference::norm;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

TEST(Norm, NeitherOverflowsNorVanishes) {
  EXPECT_DOUBLE_EQ(norm(Doubles{3, -4}), 5);
  EXPECT_DOUBLE_EQ(norm(Doubles{3e200, -4e200}), 5e200);
  EXPECT_DOUBLE_EQ(norm(Doubles{3e-200, -4e-200}), 5e-200);
  EXPECT_EQ(norm(Doubles{}), 0);
  EXPECT_EQ(norm(Doubles{0, 0}), 0);
  EXPECT_FALSE(std::isfinite(norm(Doubles{1, NAN})));
  EXPECT_FALSE(std::isfinite(norm(Doubles{INFINITY, 1})));
}

TEST(GradientError, IsRelativeToTheReference) {
  EXPECT_DOUBLE_EQ(gradientError(Floats{3, 5}, Doubles{3, 4}, 1), 0.2);
  EXPECT_DOUBLE_EQ(gradientError(Floats{3, 5}, Doubles{3, 4}, 499), 0.2);
}

TEST(GradientError, IsRelativeToAHundredthOfTheOutputsGradientWhereThatIsMore) {
  EXPECT_DOUBLE_EQ(gradientError(Floats{3, 5}, Doubles{3, 4}, 1000), 0.1);
  EXPECT_DOUBLE_EQ(gradientError(Floats{0, 5}, Doubles{0, 0}, 1000), 0.5);
}

TEST(GradientError, IsNothingOnlyWhereAllIsEqual) {
  EXPECT_EQ(gradientError(Floats{0, 0}, Doubles{0, 0}, 0), 0);
  EXPECT_EQ(gradientError(Floats{}, Doubles{}, 0), 0);
  EXPECT_FALSE(std::isfinite(gradientError(Floats{1e-30f}, Doubles{0}, 0)));
  EXPECT_FALSE(std::isfinite(gradientError(Floats{0, 0}, Doubles{0}, 1)));
  EXPECT_FALSE(std::isfinite(gradientError(Floats{NAN}, Doubles{0}, 1)));
  EXPECT_FALSE(std::isfinite(gradientError(Floats{0}, Doubles{NAN}, 1)));
  EXPECT_FALSE(std::isfinite(gradientError(Floats{0}, Doubles{0}, NAN)));
}

TEST(GradientBound, IsTheSpecsForSmallScoresAndGrowsWithThem) {
  KernelSpec spec;
  spec.headDim = 64;
  for (bool isGpu : {false, true}) {
    spec.dtype = DType::Float32;
    spec.float32Math = Float32Math::Tf32x3;
    EXPECT_EQ(gradientBound(spec, isGpu, 0), 1e-5);
    spec.float32Math = Float32Math::Tf32;
    EXPECT_EQ(gradientBound(spec, isGpu, 0), isGpu ? 2e-2 : 1e-5);
    for (DType dtype : {DType::Float16, DType::BFloat16}) {
      spec.dtype = dtype;
      EXPECT_EQ(gradientBound(spec, isGpu, 0), 2e-2);
    }
  }
  spec.dtype = DType::Float32; // 6 units of 2^-24
  EXPECT_DOUBLE_EQ(gradientBound(spec, false, 200), 200 * 6 * 0x1p-24);
  EXPECT_EQ(gradientBound(spec, false, 1e9), 1);
}

TEST(Gradients, HaveNames) {
  reference::Gradients found;
  found.landmarkQ = {1};
  EXPECT_EQ((found.*reference::gradientTensor("dlandmark_q")).size(), 1u);
  EXPECT_EQ(reference::gradientTensor("q"), nullptr);
  EXPECT_EQ(reference::gradientTensor("dout"), nullptr);
}

} // namespace
