// How far a gradient is from its reference, and how far it may be.
#include "runtime/reference/accuracy.h"
#include "runtime/reference/gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace nysjit;
using reference::gradientBound;
using reference::gradientError;
using reference::norm;
using reference::ReferenceInput;

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

/// Of six landmarks' inverse, with queries and keys, and learned landmarks, of deviation `spread`.
double boundOfInverse(Layout layout, double spread, double scale = 0.125) {
  constexpr int64_t length = 36;
  constexpr int64_t headDim = 64;
  ReferenceInput input{
      .scale = scale, .batch = 1, .queryHeads = 1, .keyHeads = 1, .length = length};
  input.spec.layout = layout;
  input.spec.headDim = headDim;
  input.spec.landmarks = 6;
  const bool isScan = layout == Layout::Scan;
  if (isScan)
    input.spec.landmarkSource = LandmarkSource::Learned;
  else
    input.spec.segmentLen = 6;
  std::mt19937 generator(1);
  std::normal_distribution<double> normal;
  const auto draw = [&](double size) {
    Doubles numbers(length * headDim);
    for (double &number : numbers)
      number = size * normal(generator);
    return numbers;
  };
  const Doubles q = draw(spread);
  const Doubles k = draw(spread);
  const Doubles v = draw(1);
  const Doubles dout = draw(1);
  const Doubles landmarkQ = draw(spread);
  const Doubles landmarkK = draw(spread);
  if (isScan) {
    input.landmarkQ = landmarkQ.data();
    input.landmarkK = landmarkK.data();
  }
  input.q = q.data();
  input.k = k.data();
  input.v = v.data();
  input.dout = dout.data();
  const Result<reference::Gradients> right = reference::gradients(input);
  EXPECT_TRUE(right.ok());
  EXPECT_EQ(gradientBound(input, false, *right, "dq", 1e-6), 1e-5) << "no need to look";
  EXPECT_EQ(gradientBound(input, false, *right, "dv", 1), 1e-5) << "does not go through A";
  return gradientBound(input, false, *right, "dq", 1);
}

TEST(GradientBound, IsWhatRoundingLeavesOfANearlyUniformInverse) {
  EXPECT_EQ(boundOfInverse(Layout::Bidirectional, 1), 1e-5);
  EXPECT_EQ(boundOfInverse(Layout::Causal, 0.1), 1e-5) << "iterates none";
  // A+ is bounded by the iteration's steps, so this is: dq itself goes with the keys' size.
  const double small = boundOfInverse(Layout::Bidirectional, 0.1);
  EXPECT_GT(small, 1e-5);
  EXPECT_LT(small, 1e-2);
  EXPECT_EQ(boundOfInverse(Layout::Scan, 1), 1e-5);
  const double ofScan = boundOfInverse(Layout::Scan, 0.1, 0.6);
  EXPECT_GT(ofScan, 1e-5);
  EXPECT_LT(ofScan, 1e-2);
}

TEST(Gradients, HaveNames) {
  reference::Gradients found;
  found.landmarkQ = {1};
  EXPECT_EQ((found.*reference::gradientTensor("dlandmark_q")).size(), 1u);
  EXPECT_EQ(reference::gradientTensor("q"), nullptr);
  EXPECT_EQ(reference::gradientTensor("dout"), nullptr);
}

} // namespace
