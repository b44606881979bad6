// pipeline.cu, mbarrier.cu, atomics.cu, constants.cu, warps.cu: threads that wait for copies and
// for each other.
#include "tests/emulator/fixture.h"

#include <algorithm>
#include <numeric>

using namespace nysjit::emulator_test;

namespace {

struct AsyncFixture : Fixture {};
NYSJIT_EVERY_MODE(AsyncFixture);

float asFloat(int bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

int asInt(float value) {
  int bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

} // namespace

TEST_P(AsyncFixture, PipelinedCopy) {
  Module module(compiled("pipeline"));
  const int blocks = 2;
  const int tiles = 5;
  const int threads = 64;
  const std::vector<float> values = random<float>(blocks * tiles * threads * 4, 0, 1);
  std::vector<float> expected(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    expected[i] = values[i ^ 4]; // float4s swapped by twos
  Buffer<float> in(values);
  Buffer<float> out(values.size());
  module.kernel("copyPipelined").launch(blocks, threads, 2 * threads * 16, in, out, tiles);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(AsyncFixture, PipelinedMatmul) {
  Module module(compiled("pipeline"));
  const int m = 32;
  const int n = 48;
  const int k = 64;
  const std::vector<float> a = random<float>(m * k, -1, 1);
  const std::vector<float> b = random<float>(k * n, -1, 1);
  Buffer<float> as(a);
  Buffer<float> bs(b);
  Buffer<float> out(m * n);
  module.kernel("matmulPipelined").launch({n / 16, m / 16}, {16, 16}, 0, as, bs, out, n, k);
  expectNear(out.read(), product({a.begin(), a.end()}, {b.begin(), b.end()}, m, n, k, n, 1), 1e-5,
             1e-5);
}

TEST_P(AsyncFixture, CopyFillsWithZeros) {
  Module module(compiled("pipeline"));
  const int n = 90;
  const std::vector<float> values = random<float>(n, 1, 2);
  Buffer<float> in(values);
  Buffer<float> out(128);
  module.kernel("copyZeroFilled").launch(1, 32, 0, in, out, n);
  std::vector<float> expected(128);
  for (int i = 0; i < n; ++i)
    expected[(31 - i / 4) * 4 + i % 4] = values[i];
  EXPECT_EQ(out.read(), expected);
}

TEST_P(AsyncFixture, ProducerAndConsumer) {
  Module module(compiled("mbarrier"));
  const int tiles = 7;
  const std::vector<int> values = random<int>(32 * tiles, -100, 100);
  Buffer<int> in(values);
  Buffer<int> out(32 * tiles);
  module.kernel("produceConsume").launch(1, 64, 0, in, out, tiles);
  std::vector<int> expected;
  for (int i = 0; i < 32 * tiles; ++i)
    expected.push_back(values[i ^ 31] * values[i ^ 31]);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(AsyncFixture, CopiesArriveAtABarrier) {
  Module module(compiled("mbarrier"));
  const std::vector<int> values = random<int>(2 * 256, -1000, 1000);
  Buffer<int> in(values);
  Buffer<int> out(2 * 256);
  module.kernel("arriveByCopy").launch(2, 64, 0, in, out);
  std::vector<int> expected;
  for (int i = 0; i < 512; ++i)
    expected.push_back(values[i ^ 252]);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(AsyncFixture, RoundsOfALibraryBarrier) {
  Module module(compiled("mbarrier"));
  const int threads = 96;
  const int rounds = 5;
  std::vector<int> values(threads);
  std::vector<int> next(threads);
  std::iota(values.begin(), values.end(), 0);
  Buffer<int> out(threads);
  module.kernel("rounds").launch(1, threads, 0, out, rounds);
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < threads; ++i)
      next[i] = values[i] + values[(i + 1) % threads];
    values.swap(next);
  }
  EXPECT_EQ(out.read(), values);
}

TEST_P(AsyncFixture, AtomicAdds) {
  Module module(compiled("atomics"));
  Buffer<float> f(std::vector<float>{0.5f});
  Buffer<double> d(std::vector<double>{0});
  Buffer<uint64_t> l(std::vector<uint64_t>{uint64_t(1) << 40});
  Buffer<uint16_t> h(std::vector<uint16_t>{0, 0});
  module.kernel("adds").launch(2, 64, 0, f, d, l, h);
  EXPECT_EQ(f.read()[0], 128.5f);
  EXPECT_EQ(d.read()[0], 64);
  EXPECT_EQ(l.read()[0], (uint64_t(1) << 40) + 2 * 64 * 63 / 2);
  EXPECT_EQ(fromHalves(h.read()), (std::vector<double>{128, 256}));
}

TEST_P(AsyncFixture, OtherAtomics) {
  Module module(compiled("atomics"));
  const int n = 192;
  const std::vector<int> values = random<int>(n, -500, 500);
  Buffer<int> in(values);
  Buffer<int> out(std::vector<int>{-1000, 1000, 0, -1, 0, 0, 3, asInt(-1e30f)});
  module.kernel("others").launch(3, 64, 0, in, out);
  std::vector<int> expected = {-1000, 1000, 0, -1, 0, 42, 3, 0};
  for (int value : values) {
    expected[0] = std::max(expected[0], value);
    expected[1] = std::min(expected[1], value);
    expected[2] |= value;
    expected[3] &= value;
    expected[4] ^= value;
    expected[6] = expected[6] >= 9 ? 0 : expected[6] + 1;
  }
  std::vector<int> found = out.read();
  EXPECT_EQ(asFloat(found[7]), float(expected[0]));
  found[7] = 0;
  EXPECT_EQ(found, expected);
}

TEST_P(AsyncFixture, LastBlockAddsUp) {
  Module module(compiled("atomics"));
  const std::vector<int> values = random<int>(5 * 64, -100, 100);
  Buffer<int> in(values);
  Buffer<int> partial(5);
  Buffer<int> total(1);
  Buffer<unsigned> finished(std::vector<unsigned>{0});
  module.kernel("lastBlock").launch(5, 64, 0, in, partial, finished, total);
  EXPECT_EQ(total.read()[0], std::accumulate(values.begin(), values.end(), 0));
}

TEST_P(AsyncFixture, ThreadsTakeALockInTurn) {
  Module module(compiled("atomics"));
  Buffer<int> lock(std::vector<int>{0});
  Buffer<int> counter(std::vector<int>{0});
  module.kernel("locked").launch(2, 48, 0, lock, counter);
  EXPECT_EQ(counter.read()[0], 96);
}

TEST_P(AsyncFixture, BlocksWaitForOneAnother) {
  Module module(compiled("atomics"));
  Buffer<int> arrived(std::vector<int>{0});
  Buffer<int> values(3);
  Buffer<int> out(3);
  module.kernel("meet").launch(3, 32, 0, arrived, values, out);
  EXPECT_EQ(out.read(), std::vector<int>(3, 30));
}

TEST_P(AsyncFixture, ConstantsAndVariables) {
  Module module(compiled("constants"));
  const std::vector<float> values = random<float>(50, -1, 1);
  Buffer<float> in(values);
  Buffer<float> out(50);
  module.kernel("evaluate").launch(1, 64, 0, in, out, 50);
  std::vector<double> expected;
  for (double x : values)
    expected.push_back(1 + x * (-0.5 + x * (0.25 + x * (3 + x * -2))));
  expectNear(out.read(), expected, 1e-5, 1e-6);

  CUdeviceptr strides;
  CUdeviceptr counter;
  size_t bytes;
  const std::vector<int> given = {1, 10, 100, 1000};
  NYSJIT_CALL(cuModuleGetGlobal, &strides, &bytes, module.module, "strides");
  ASSERT_EQ(bytes, 16u);
  NYSJIT_CALL(cuMemcpyHtoD, strides, given.data(), bytes);
  Buffer<int> looked(64);
  module.kernel("lookUp").launch(1, 64, 0, looked);
  std::vector<int> expectedLooked;
  for (int i = 0; i < 64; ++i)
    expectedLooked.push_back(given[i % 4] * (i % 2 ? -1 : 1) * (i % 6 + 1) + "nysjit"[i % 6]);
  EXPECT_EQ(looked.read(), expectedLooked);
  int count;
  NYSJIT_CALL(cuModuleGetGlobal, &counter, nullptr, module.module, "counter");
  NYSJIT_CALL(cuMemcpyDtoH, &count, counter, 4);
  EXPECT_EQ(count, 7 + 64);
}

TEST_P(AsyncFixture, LanesExchange) {
  Module module(compiled("warps"));
  const std::vector<int> values = random<int>(64, 1, 100);
  Buffer<int> in(values);
  Buffer<unsigned> out(8 * 64);
  module.kernel("exchange").launch(1, 64, 0, in, out);
  std::vector<unsigned> expected;
  for (int i = 0; i < 64; ++i) {
    const int lane = i % 32;
    const int *v = &values[i - lane];
    unsigned odd = 0;
    unsigned same = 0;
    unsigned all = 0;
    int top = 0;
    int sum = 0;
    for (int j = 0; j < 32; ++j) {
      odd |= unsigned(v[j] & 1) << j;
      same |= unsigned(v[j] % 4 == v[lane] % 4) << j;
      top = std::max(top, v[j]);
      sum += v[j];
      all ^= unsigned(v[j]);
    }
    expected.insert(expected.end(), {unsigned(v[(lane * 5 + 3) % 32]),
                                     unsigned(lane % 8 >= 3 ? v[lane - 3] : v[lane]),
                                     unsigned(v[lane ^ 9]), odd, 2u + (top > 90), same,
                                     0u /* 0xffffffff + 1 */, unsigned(sum) ^ unsigned(top) ^ all});
  }
  EXPECT_EQ(out.read(), expected);
}

TEST_P(AsyncFixture, SomeLanesExchange) {
  Module module(compiled("warps"));
  std::vector<int> values = random<int>(32, -100, 100);
  std::vector<int> expected;
  values[7] = 5;
  int sum = 0;
  int first = 0;
  for (int i = 31; i >= 0; --i)
    if (values[i] & 1) {
      sum += values[i];
      first = values[i];
    }
  for (int value : values)
    expected.push_back(value & 1 ? sum + first : -1);
  Buffer<int> in(values);
  Buffer<int> out(32);
  module.kernel("partial").launch(1, 32, 0, in, out);
  EXPECT_EQ(out.read(), expected);
}
