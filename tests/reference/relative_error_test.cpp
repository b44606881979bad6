// How far an output is from its reference.
#include "runtime/reference/accuracy.h"

#include <cmath>
#include <gtest/gtest.h>
#include <tuple>
#include <vector>

using nysjit::reference::relativeError;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

TEST(RelativeError, IsRelativeToTheReferencesNorm) {
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 4}, Doubles{3, 4}), 0);
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 5}, Doubles{3, 4}), 0.2);
  EXPECT_DOUBLE_EQ(relativeError(Floats{0, 0}, Doubles{3, 4}), 1);
}

TEST(RelativeError, IsAbsoluteWhereTheReferenceIsZero) {
  EXPECT_DOUBLE_EQ(relativeError(Floats{3, 4}, Doubles{0, 0}), 5);
  EXPECT_DOUBLE_EQ(relativeError(Floats{}, Doubles{}), 0);
}

TEST(RelativeError, WhatIsNotFiniteIsNoSmallError) {
  EXPECT_FALSE(std::isfinite(relativeError(Floats{NAN, 4}, Doubles{3, 4})));
  EXPECT_FALSE(std::isfinite(relativeError(Floats{INFINITY, 4}, Doubles{3, 4})));
  EXPECT_FALSE(std::isfinite(relativeError(Floats{1}, Doubles{NAN})));
}

TEST(RelativeError, HugeAndTinyValuesNeitherOverflowNorVanish) {
  EXPECT_NEAR(relativeError(Floats{1.5e38f}, Doubles{1e38}), 0.5, 1e-6);
  EXPECT_NEAR(relativeError(Floats{1.5e-40f}, Doubles{1e-40}), 0.5, 1e-4);
  EXPECT_NEAR(relativeError(Doubles{1.5e200}, Doubles{1e200}), 0.5, 1e-6);
  EXPECT_NEAR(relativeError(Doubles{1.5e-200}, Doubles{1e-200}), 0.5, 1e-6);
}

TEST(RelativeError, OtherSizesAreNoSmallError) {
  EXPECT_FALSE(std::isfinite(relativeError(Floats{1, 2}, Doubles{1})));
}

} // namespace
