// The arithmetic of --check.
#include "runtime/cli/check.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

using namespace nysjit;
using namespace nysjit::cli;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

TEST(Check, TheErrorIsRelativeToTheReferencesNorm) {
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 4}, Doubles{3, 4}), 0);
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 5}, Doubles{3, 4}), 0.2);
  EXPECT_DOUBLE_EQ(relativeError(Floats{0, 0}, Doubles{3, 4}), 1);
}

TEST(Check, TheErrorIsAbsoluteWhereTheReferenceIsZero) {
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 4}, Doubles{0, 0}), 5);
  EXPECT_DOUBLE_EQ(relativeError(Floats{}, Doubles{}), 0);
}

TEST(Check, WhatIsNotFiniteIsNoSmallError) {
  EXPECT_FALSE(std::isfinite(relativeError(Floats{NAN, 4}, Doubles{3, 4})));
  EXPECT_FALSE(std::isfinite(relativeError(Floats{INFINITY, 4}, Doubles{3, 4})));
  EXPECT_FALSE(std::isfinite(relativeError(Floats{1}, Doubles{NAN})));
}

TEST(Check, HugeAndTinyValuesNeitherOverflowNorVanish) {
  EXPECT_NEAR(relativeError(Floats{1.5e38f}, Doubles{1e38}), 0.5, 1e-6);
  EXPECT_NEAR(relativeError(Floats{1.5e-40f}, Doubles{1e-40}), 0.5, 1e-4);
}

TEST(Check, BoundsAreTheSpecs) {
  EXPECT_EQ(errorBound(DType::Float32, false), 1e-5);
  EXPECT_EQ(errorBound(DType::Float32, true), 1e-4);
  EXPECT_EQ(errorBound(DType::Float16, true), 2e-3);
  EXPECT_EQ(errorBound(DType::BFloat16, false), 1e-2);
}

TEST(Check, LargeScoresAreThoseACausalRowSees) {
  // One head, two positions, headDim 1: q_0 k_1 = 600 is masked, the others are small.
  Extents extents{1, 1, 1, 2, 1};
  EXPECT_FALSE(hasLargeScores(Doubles{600, 1}, Doubles{0.1, 1}, extents, 1));
  EXPECT_TRUE(hasLargeScores(Doubles{600, 1}, Doubles{1, 0.1}, extents, 1));
  EXPECT_TRUE(hasLargeScores(Doubles{600, 1}, Doubles{1, 0.1}, extents, -1));
  EXPECT_FALSE(hasLargeScores(Doubles{600, 1}, Doubles{1, 0.1}, extents, 0.5));
}

TEST(Check, GroupedQueriesScoreTheirOwnKeyHead) {
  // Four query heads over two key heads: heads 2 and 3 read key head 1.
  Extents extents{1, 4, 2, 1, 1};
  EXPECT_TRUE(hasLargeScores(Doubles{0, 0, 600, 0}, Doubles{0, 1}, extents, 1));
  EXPECT_FALSE(hasLargeScores(Doubles{0, 600, 0, 0}, Doubles{0, 1}, extents, 1));
}

} // namespace
