// Which tensors share memory, beside every element marked in an array.
#include "runtime/device/tensor_overlap.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace nysjit {
namespace {

/// float16 elements at `offset` elements into a buffer that is never touched.
struct View {
  View(std::vector<int64_t> extents, std::vector<int64_t> steps, int64_t offset = 0)
      : shape(std::move(extents)), strides(std::move(steps)) {
    tensor = {reinterpret_cast<void *>(uintptr_t(1) << 40),
              {kDLCPU, 0},
              int(shape.size()),
              {kDLFloat, 16, 1},
              shape.data(),
              strides.data(),
              uint64_t(2 * offset)};
    EXPECT_TRUE(filled.fill(tensor));
  }
  View(const View &) = delete;
  bool overlapsItself() const { return nysjit::overlapsItself(tensor, filled); }
  bool overlaps(const View &other) const {
    return nysjit::overlaps(tensor, filled, other.tensor, other.filled);
  }
  /// The elements' places, in elements.
  std::vector<int64_t> places() const {
    std::vector<int64_t> list = {int64_t(tensor.byte_offset) / 2};
    for (size_t i = 0; i < shape.size(); ++i) {
      std::vector<int64_t> next;
      for (int64_t place : list)
        for (int64_t j = 0; j < shape[i]; ++j)
          next.push_back(place + j * strides[i]);
      list = std::move(next);
    }
    std::ranges::sort(list);
    return list;
  }
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  DLTensor tensor;
  TensorStrides filled;
};

TEST(TensorOverlap, compact_and_padded_tensors_have_none) {
  EXPECT_FALSE(View({2, 3, 5, 16}, {240, 80, 16, 1}).overlapsItself());
  EXPECT_FALSE(View({2, 3, 5, 16}, {1000, 100, 17, 1}).overlapsItself());
  EXPECT_FALSE(View({2, 3, 5, 16}, {-240, 80, -16, 1}).overlapsItself());
  EXPECT_FALSE(View({1, 1, 1, 16}, {0, 0, 0, 1}).overlapsItself());
}

TEST(TensorOverlap, slots_of_a_fused_buffer_have_none) {
  // [B, n, 3, H, d] seen as [B, H, n, d]: q, k and v interleave.
  const std::vector<int64_t> shape = {8, 12, 1024, 64};
  const std::vector<int64_t> strides = {1024 * 3 * 12 * 64, 64, 3 * 12 * 64, 1};
  const View q(shape, strides);
  const View k(shape, strides, 12 * 64);
  const View v(shape, strides, 2 * 12 * 64);
  EXPECT_FALSE(q.overlapsItself());
  EXPECT_FALSE(q.overlaps(k) || k.overlaps(q) || q.overlaps(v) || k.overlaps(v));
  EXPECT_TRUE(q.overlaps(q));
  EXPECT_TRUE(q.overlaps(View(shape, strides, 63))); // d - 1: an element of each row
  EXPECT_TRUE(k.overlaps(View(shape, strides, 12 * 64 - 767)));
}

TEST(TensorOverlap, equal_strides_of_batch_and_heads_are_found) {
  EXPECT_TRUE(View({2, 2, 4, 16}, {64, 64, 16, 1}).overlapsItself());
  EXPECT_TRUE(View({2, 2, 4, 16}, {0, 64, 16, 1}).overlapsItself());
  EXPECT_TRUE(View({3, 2, 4, 16}, {64, 128, 16, 1}).overlapsItself()); // 2 batches are a head
  EXPECT_FALSE(View({2, 2, 4, 16}, {64, 128, 16, 1}).overlapsItself());
  EXPECT_TRUE(View({2, 2, 4, 16}, {64, -64, 16, 1}).overlapsItself());
}

TEST(TensorOverlap, strides_that_do_not_nest_may_be_fine) {
  EXPECT_FALSE(View({2, 2, 16}, {48, 32, 1}).overlapsItself()); // 0, 32, 48, 80
  EXPECT_TRUE(View({3, 4, 16}, {48, 32, 1}).overlapsItself());  // 2 * 48 = 3 * 32
  EXPECT_FALSE(View({2, 4, 16}, {48, 32, 1}).overlapsItself());
  EXPECT_TRUE(View({2, 3, 16}, {40, 32, 1}).overlapsItself()); // 40 is within 32 and 48
  // 10007 and 10009 are prime: the first to meet are 10009 of one and 10007 of the other.
  EXPECT_FALSE(View({10009, 10007, 1}, {16 * 10007, 16 * 10009, 1}).overlapsItself());
  EXPECT_TRUE(View({10010, 10008, 1}, {16 * 10007, 16 * 10009, 1}).overlapsItself());
}

TEST(TensorOverlap, small_views_are_as_their_elements_are) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](unsigned end) { return int64_t(random() % end); };
  int found[2][2] = {};
  for (int round = 0; round < 20000; ++round) {
    const auto view = [&] {
      std::vector<int64_t> shape;
      std::vector<int64_t> strides;
      for (int i = 0; i < 3; ++i) {
        shape.push_back(1 + below(5));
        strides.push_back(below(60) - 20);
      }
      shape.push_back(1 + below(3));
      strides.push_back(1);
      return std::make_unique<View>(shape, strides, 1000 + below(100));
    };
    const std::unique_ptr<View> a = view();
    const std::unique_ptr<View> b = view();
    const std::vector<int64_t> of = a->places();
    const std::vector<int64_t> with = b->places();
    const bool isTwice = std::ranges::adjacent_find(of) != of.end();
    std::vector<int64_t> both;
    std::ranges::set_intersection(of, with, std::back_inserter(both));
    ASSERT_EQ(a->overlapsItself(), isTwice)
        << testing::PrintToString(a->shape) << " " << testing::PrintToString(a->strides);
    ASSERT_EQ(a->overlaps(*b), !both.empty());
    ++found[0][isTwice];
    ++found[1][!both.empty()];
  }
  for (const auto &[no, yes] : found)
    EXPECT_GT(std::min(no, yes), 500);
}

TEST(TensorOverlap, extents_of_no_memory_end_the_search) {
  const int64_t many = int64_t(1) << 20;
  EXPECT_TRUE(View({many, many, many, 16}, {1 << 21, 3 << 20, 5 << 20, 1}).overlapsItself());
  const View a({many, many, many, 16}, {1 << 21, 3 << 20, 5 << 20, 1});
  const View b({many, many, many, 16}, {7 << 20, 11 << 20, 13 << 20, 1}, 64);
  (void)a.overlaps(b);
}

} // namespace
} // namespace nysjit
