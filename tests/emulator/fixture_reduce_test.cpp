// reduce.cu, scan.cu, softmax.cu, transpose.cu: shuffles, shared memory, barriers.
#include "tests/emulator/fixture.h"

#include <algorithm>
#include <numeric>

using namespace nysjit::emulator_test;

namespace {

struct ReduceFixture : Fixture {};
NYSJIT_EVERY_MODE(ReduceFixture);

/// Inclusive sums within blocks of `width`.
std::vector<int> prefixSums(const std::vector<int> &in, size_t width) {
  std::vector<int> out(in.size());
  for (size_t i = 0; i < in.size(); ++i)
    out[i] = in[i] + (i % width ? out[i - 1] : 0);
  return out;
}

} // namespace

TEST_P(ReduceFixture, BlockSum) {
  Module module(compiled("reduce"));
  const int n = 1000;
  const int width = 256;
  const int blocks = 4;
  const std::vector<float> values = random<float>(n, -1, 1);
  Buffer<float> in(values);
  Buffer<float> out(blocks);
  module.kernel("blockSum").launch(blocks, width, 0, in, out, n);
  std::vector<double> expected(blocks);
  for (int i = 0; i < n; ++i)
    expected[i / width] += values[i];
  expectNear(out.read(), expected, 0, 1e-4);
}

TEST_P(ReduceFixture, AtomicSum) {
  Module module(compiled("reduce"));
  const std::vector<float> values = random<float>(3000, 0, 1);
  Buffer<float> in(values);
  Buffer<float> out(std::vector<float>{0});
  module.kernel("atomicSum").launch(3, 128, 0, in, out, 3000);
  expectNear(out.read(), {std::accumulate(values.begin(), values.end(), 0.0)}, 1e-5);
}

TEST_P(ReduceFixture, CompactEven) {
  Module module(compiled("reduce"));
  const int n = 500;
  const std::vector<int> values = random<int>(n, 0, 1000);
  Buffer<int> in(values);
  Buffer<int> out(n);
  Buffer<int> count(std::vector<int>{0});
  module.kernel("compactEven").launch(4, 128, 0, in, out, count, n);
  std::vector<int> expected;
  std::copy_if(values.begin(), values.end(), std::back_inserter(expected),
               [](int value) { return value % 2 == 0; });
  ASSERT_EQ(count.read()[0], int(expected.size()));
  std::vector<int> found = out.read();
  found.resize(expected.size());
  std::sort(found.begin(), found.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found, expected);
}

TEST_P(ReduceFixture, Histogram) {
  Module module(compiled("reduce"));
  const int n = 2000;
  const std::vector<unsigned char> values = random<unsigned char>(n, 0, 256);
  Buffer<unsigned char> in(values);
  Buffer<unsigned> bins(std::vector<unsigned>(64, 0));
  module.kernel("histogram").launch(3, 96, 0, in, bins, n);
  std::vector<unsigned> expected(64);
  for (unsigned char value : values)
    ++expected[value & 63];
  EXPECT_EQ(bins.read(), expected);
}

TEST_P(ReduceFixture, BarrierReductions) {
  Module module(compiled("reduce"));
  std::vector<int> values = random<int>(3 * 64, -100, 100);
  std::vector<int> expected;
  std::fill_n(values.begin(), 64, 1);
  std::fill_n(values.begin() + 64, 64, 0);
  Buffer<int> in(values);
  Buffer<int> out(9);
  module.kernel("barrierReductions").launch(3, 64, 0, in, out);
  for (int block = 0; block < 3; ++block) {
    const int count = int(std::count_if(&values[block * 64], &values[block * 64] + 64,
                                        [](int value) { return value > 0; }));
    expected.insert(expected.end(), {count, count == 64, count > 0});
  }
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ReduceFixture, ScanByShuffles) {
  Module module(compiled("scan"));
  const std::vector<int> values = random<int>(2 * 512, -50, 50);
  Buffer<int> in(values);
  Buffer<int> out(values.size());
  module.kernel("scanWarps").launch(2, 512, 0, in, out);
  EXPECT_EQ(out.read(), prefixSums(values, 512));
}

TEST_P(ReduceFixture, ScanInSharedMemory) {
  Module module(compiled("scan"));
  const std::vector<int> values = random<int>(2 * 256, -50, 50);
  Buffer<int> in(values);
  Buffer<int> out(values.size());
  module.kernel("scanShared").launch(2, 256, 0, in, out);
  EXPECT_EQ(out.read(), prefixSums(values, 256));
}

TEST_P(ReduceFixture, Softmax) {
  Module module(compiled("softmax"));
  const int rows = 3;
  const int columns = 300;
  const std::vector<float> values = random<float>(rows * columns, -20, 20);
  Buffer<float> in(values);
  Buffer<float> out(values.size());
  module.kernel("softmax").launch(rows, 128, columns * sizeof(float), in, out, columns);
  std::vector<double> expected(values.size());
  for (int row = 0; row < rows; ++row) {
    double sum = 0;
    for (int i = row * columns; i < (row + 1) * columns; ++i)
      sum += expected[i] = std::exp(double(values[i]));
    for (int i = row * columns; i < (row + 1) * columns; ++i)
      expected[i] /= sum;
  }
  expectNear(out.read(), expected, 1e-5, 1e-9);
}

TEST_P(ReduceFixture, TransposeMeetsNoBankTwiceWithPadding) {
  Module module(compiled("transpose"));
  const int n = 64;
  const std::vector<float> values = random<float>(n * n, 0, 1);
  std::vector<float> expected(n * n);
  for (int i = 0; i < n * n; ++i)
    expected[i % n * n + i / n] = values[i];
  Buffer<float> in(values);
  Buffer<float> out(n * n);
  module.kernel("transposePadded").launch({2, 2}, {32, 8}, 0, in, out, n);
  EXPECT_EQ(out.read(), expected);
  EXPECT_EQ(lastCounts().bank_conflicts, 0);
  EXPECT_EQ(lastCounts().global_read_bytes, 4 * n * n);
  EXPECT_EQ(lastCounts().global_write_bytes, 4 * n * n);
  EXPECT_EQ(lastCounts().global_sectors, 2 * 4 * n * n / 32);
  EXPECT_EQ(lastCounts().barriers, 4 * 8); // blocks, warps

  module.kernel("transposeConflicting").launch({2, 2}, {32, 8}, 0, in, out, n);
  EXPECT_EQ(out.read(), expected);
  // Of 4 blocks, 8 warps each load 4 times a column in one bank: 32 passes for 1.
  EXPECT_EQ(lastCounts().bank_conflicts, 4 * 8 * 4 * 31);
  EXPECT_EQ(lastCounts().shared_store_conflicts, 0);
}
