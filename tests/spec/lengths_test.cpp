// The limit of a sequence's length, and its segments' length.
#include "runtime/spec/lengths.h"

#include <gtest/gtest.h>

using namespace nysjit;

namespace {

KernelSpec causal(std::optional<int> segmentLen) {
  KernelSpec spec;
  spec.landmarks = 4;
  spec.segmentLen = segmentLen;
  return spec;
}

TEST(Lengths, SegmentsOfOneLengthLimitASequence) {
  EXPECT_EQ(maximumLength(causal(16)), 64);
  EXPECT_EQ(expectedLength(64), "a length of at most landmarks * segment_len = 64 positions");
  EXPECT_EQ(maximumLength(causal(std::nullopt)), std::nullopt);
}

TEST(Lengths, SegmentsShareASequenceWhereNoLengthIsGiven) {
  EXPECT_EQ(segmentLength(causal(16), 5), 16);
  EXPECT_EQ(segmentLength(causal(std::nullopt), 5), 2);
  EXPECT_EQ(segmentLength(causal(std::nullopt), 64), 16);
  KernelSpec exact;
  exact.layout = Layout::ExactCausal;
  EXPECT_EQ(segmentLength(exact, 64), 1);
}

} // namespace
