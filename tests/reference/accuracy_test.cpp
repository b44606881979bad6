// The size of scores, and the error bound that grows with it.
#include "runtime/reference/accuracy.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace nysjit;
using reference::errorBound;
using reference::scoreSize;

namespace {

using Doubles = std::vector<double>;

TEST(Accuracy, SmallScoresHaveTheSpecsBounds) {
  KernelSpec spec;
  spec.headDim = 64;
  for (bool isGpu : {false, true}) {
    spec.dtype = DType::Float32;
    spec.float32Math = Float32Math::Tf32x3;
    EXPECT_EQ(errorBound(spec, isGpu, 0), 1e-5);
    spec.float32Math = Float32Math::Tf32;
    EXPECT_EQ(errorBound(spec, isGpu, 0), isGpu ? 2e-3 : 1e-5);
    spec.dtype = DType::Float16;
    EXPECT_EQ(errorBound(spec, isGpu, 0), 2e-3);
    spec.dtype = DType::BFloat16;
    EXPECT_EQ(errorBound(spec, isGpu, 0), 1e-2);
  }
}

TEST(Accuracy, BoundsGrowWithTheScores) {
  KernelSpec spec;
  spec.headDim = 64; // sqrt(64) / 2 + 2 = 6 units of 2^-24, on GPUs 4 more
  EXPECT_EQ(errorBound(spec, false, 20), 1e-5);
  EXPECT_DOUBLE_EQ(errorBound(spec, false, 200), 200 * 6 * 0x1p-24);
  EXPECT_DOUBLE_EQ(errorBound(spec, true, 200), 200 * 10 * 0x1p-24);
  EXPECT_EQ(errorBound(spec, false, 1e9), 1);
  spec.dtype = DType::Float16;
  EXPECT_EQ(errorBound(spec, true, 1000), 2e-3);
  EXPECT_DOUBLE_EQ(errorBound(spec, true, 1e4), 1e4 * 10 * 0x1p-24);
  spec.dtype = DType::BFloat16; // and 2^-17 / sqrt(64)
  EXPECT_DOUBLE_EQ(errorBound(spec, true, 1e5), 1e5 * (10 * 0x1p-24 + 0x1p-20));
}

// Terms count, not what they cancel to: 3 * 5 + 4 * 5.
TEST(Accuracy, SizesAreOfTerms) {
  const Doubles q = {3, 4};
  const Doubles k = {5, -5};
  reference::ReferenceInput input;
  input.spec.layout = Layout::ExactCausal;
  input.spec.headDim = 2;
  input.scale = -0.5;
  input.batch = input.queryHeads = input.keyHeads = input.length = 1;
  input.q = q.data();
  input.k = k.data();
  EXPECT_EQ(scoreSize(input), 17.5);
  EXPECT_LE(scoreSize(input, 20), 20); // by the norms, 0.5 * 5 * sqrt(50)
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

bool isLarge(const reference::ReferenceInput &input) { return scoreSize(input) > 500; }

TEST(Accuracy, SizesAreThoseACausalRowSees) {
  // q_0 k_1 = 600 is masked in the first, the others are small.
  const Doubles q = {600, 1};
  const Doubles later = {0.1, 1};
  const Doubles first = {1, 0.1};
  EXPECT_FALSE(isLarge(oneHead(Layout::ExactCausal, q, later)));
  reference::ReferenceInput input = oneHead(Layout::ExactCausal, q, first);
  EXPECT_TRUE(isLarge(input));
  input.scale = -1;
  EXPECT_TRUE(isLarge(input));
  input.scale = 0.5;
  EXPECT_FALSE(isLarge(input));
}

TEST(Accuracy, SizesAreThoseTheLayoutSees) {
  // Segments of two: q_0 sees k_1 (through its segment's landmark), and without a mask k_2 also.
  const Doubles q = {600, 0, 0, 0};
  const Doubles own = {0, 1, 0, 0};
  const Doubles next = {0, 0, 1, 0};
  for (Layout layout : {Layout::Causal, Layout::SegmentCausal}) {
    EXPECT_TRUE(isLarge(oneHead(layout, q, own)));
    EXPECT_FALSE(isLarge(oneHead(layout, q, next)));
  }
  EXPECT_TRUE(isLarge(oneHead(Layout::Bidirectional, q, next)));
  reference::ReferenceInput input = oneHead(Layout::PrefixLm, q, next);
  for (int64_t source : {0, 2, 3, 4}) {
    input.sourceLengths = {source};
    EXPECT_EQ(isLarge(input), source > 2) << source;
  }
}

TEST(Accuracy, LearnedLandmarksAreWhatIsScored) {
  const Doubles q = {600, 0};
  const Doubles k = {1, 0};
  const Doubles zeros = {0, 0};
  const Doubles ones = {1, 1};
  const Doubles large = {600, 0};
  reference::ReferenceInput input = oneHead(Layout::Scan, q, k);
  for (const auto &[landmarkQ, landmarkK, expected] :
       {std::tuple(&zeros, &zeros, false), {&zeros, &ones, true}, {&large, &zeros, true}}) {
    input.landmarkQ = landmarkQ->data();
    input.landmarkK = landmarkK->data();
    EXPECT_EQ(isLarge(input), expected);
  }
}

TEST(Accuracy, WhatLiesOutsideTheSequencesIsNotLookedAt) {
  const Doubles q = {600, 1, 1, NAN};
  const Doubles k = {1, 1, 600, NAN};
  reference::ReferenceInput input = oneHead(Layout::ExactCausal, q, k);
  EXPECT_TRUE(isLarge(input));
  input.starts = {1}, input.lengths = {1};
  EXPECT_FALSE(isLarge(input));
  input.starts = {1}, input.lengths = {2};
  EXPECT_TRUE(isLarge(input));
  // Packed, two heads over one: head 1 has q = {1, NAN}.
  input.packed = true;
  input.queryHeads = 2;
  input.length = 2;
  input.starts = {0}, input.lengths = {1};
  EXPECT_TRUE(isLarge(input));
  input.starts = {1};
  EXPECT_FALSE(isLarge(input));
}

TEST(Accuracy, GroupedQueriesScoreTheirOwnKeyHead) {
  // Four query heads over two key heads: heads 2 and 3 read key head 1.
  const Doubles k = {0, 1};
  const Doubles third = {0, 0, 600, 0};
  const Doubles second = {0, 600, 0, 0};
  for (const Doubles *q : {&third, &second}) {
    reference::ReferenceInput input = oneHead(Layout::ExactCausal, *q, k);
    input.queryHeads = 4, input.keyHeads = 2, input.length = 1, input.lengths = {1};
    EXPECT_EQ(isLarge(input), q == &third);
  }
}

} // namespace
