// The arithmetic of --check.
#include "runtime/cli/check.h"

#include <cmath>
#include <gtest/gtest.h>
#include <tuple>
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
  KernelSpec spec;
  for (bool isGpu : {false, true}) {
    spec = {};
    spec.dtype = DType::Float32;
    EXPECT_EQ(errorBound(spec, isGpu, false), 1e-5);
    EXPECT_EQ(errorBound(spec, isGpu, true), 1e-4);
    spec.float32Math = Float32Math::Tf32;
    EXPECT_EQ(errorBound(spec, isGpu, false), isGpu ? 2e-3 : 1e-5);
    spec.dtype = DType::Float16;
    EXPECT_EQ(errorBound(spec, isGpu, true), 2e-3);
    spec.dtype = DType::BFloat16;
    EXPECT_EQ(errorBound(spec, isGpu, false), 1e-2);
  }
}

/// One sequence of one head of headDim 1, scale 1. The vectors outlive it.
reference::ReferenceInput oneHead(Layout layout, const Doubles &q, const Doubles &k) {
  reference::ReferenceInput input;
  input.spec.layout = layout;
  input.spec.headDim = 1;
  input.spec.landmarks = 2;
  input.scale = 1;
  input.batch = input.queryHeads = input.keyHeads = 1;
  input.length = int64_t(q.size());
  input.q = q.data();
  input.k = k.data();
  input.starts = {0};
  input.lengths = {input.length};
  return input;
}

TEST(Check, LargeScoresAreThoseACausalRowSees) {
  // q_0 k_1 = 600 is masked in the first, the others are small.
  const Doubles q = {600, 1};
  const Doubles later = {0.1, 1};
  const Doubles first = {1, 0.1};
  EXPECT_FALSE(hasLargeScores(oneHead(Layout::ExactCausal, q, later)));
  reference::ReferenceInput input = oneHead(Layout::ExactCausal, q, first);
  EXPECT_TRUE(hasLargeScores(input));
  input.scale = -1;
  EXPECT_TRUE(hasLargeScores(input));
  input.scale = 0.5;
  EXPECT_FALSE(hasLargeScores(input));
}

TEST(Check, LargeScoresAreThoseTheLayoutSees) {
  // Segments of two: q_0 sees k_1 (through its segment's landmark), and without a mask k_2 also.
  const Doubles q = {600, 0, 0, 0};
  const Doubles own = {0, 1, 0, 0};
  const Doubles next = {0, 0, 1, 0};
  for (Layout layout : {Layout::Causal, Layout::SegmentCausal}) {
    EXPECT_TRUE(hasLargeScores(oneHead(layout, q, own)));
    EXPECT_FALSE(hasLargeScores(oneHead(layout, q, next)));
  }
  EXPECT_TRUE(hasLargeScores(oneHead(Layout::Bidirectional, q, next)));
  reference::ReferenceInput input = oneHead(Layout::PrefixLm, q, next);
  for (int64_t source : {0, 2, 3, 4}) {
    input.sourceLengths = {source};
    EXPECT_EQ(hasLargeScores(input), source > 2) << source;
  }
}

TEST(Check, LearnedLandmarksAreWhatIsScored) {
  const Doubles q = {600, 0};
  const Doubles k = {1, 0};
  const Doubles zeros = {0, 0};
  const Doubles ones = {1, 1};
  const Doubles large = {600, 0};
  reference::ReferenceInput input = oneHead(Layout::Scan, q, k);
  for (const auto &[landmarkQ, landmarkK, isLarge] :
       {std::tuple(&zeros, &zeros, false), {&zeros, &ones, true}, {&large, &zeros, true}}) {
    input.landmarkQ = landmarkQ->data();
    input.landmarkK = landmarkK->data();
    EXPECT_EQ(hasLargeScores(input), isLarge);
  }
}

TEST(Check, WhatLiesOutsideTheSequencesIsNotLookedAt) {
  const Doubles q = {600, 1, 1, NAN};
  const Doubles k = {1, 1, 600, NAN};
  reference::ReferenceInput input = oneHead(Layout::ExactCausal, q, k);
  EXPECT_TRUE(hasLargeScores(input));
  input.starts = {1}, input.lengths = {1};
  EXPECT_FALSE(hasLargeScores(input));
  input.starts = {1}, input.lengths = {2};
  EXPECT_TRUE(hasLargeScores(input));
  // Packed, two heads over one: head 1 has q = {1, NAN}.
  input.packed = true;
  input.queryHeads = 2;
  input.length = 2;
  input.starts = {0}, input.lengths = {1};
  EXPECT_TRUE(hasLargeScores(input));
  input.starts = {1};
  EXPECT_FALSE(hasLargeScores(input));
}

TEST(Check, GroupedQueriesScoreTheirOwnKeyHead) {
  // Four query heads over two key heads: heads 2 and 3 read key head 1.
  const Doubles k = {0, 1};
  const Doubles third = {0, 0, 600, 0};
  const Doubles second = {0, 600, 0, 0};
  for (const Doubles *q : {&third, &second}) {
    reference::ReferenceInput input = oneHead(Layout::ExactCausal, *q, k);
    input.queryHeads = 4, input.keyHeads = 2, input.length = 1, input.lengths = {1};
    EXPECT_EQ(hasLargeScores(input), q == &third);
  }
}

} // namespace
