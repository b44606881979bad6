// half.cu, wide.cu, functions.cu: what arithmetic gives, to the last bit where CUDA says so.
#include "tests/emulator/fixture.h"

#include <algorithm>

using namespace nysjit::emulator_test;

namespace {

struct NumberFixture : Fixture {
  /// Six results of each pair of numbers, rounded by `round`; see half.cu.
  template <typename To, typename From> void checkPairs(const char *kernel, To round, From widen) {
    Module module(compiled("half"));
    const int n = 60;
    std::vector<uint16_t> a;
    std::vector<uint16_t> b;
    std::vector<uint16_t> expected(12 * n);
    for (double value : random<double>(2 * n, -30, 30))
      a.push_back(round(value));
    for (double value : random<double>(2 * n, -30, 30))
      b.push_back(round(value));
    for (int i = 0; i < 2 * n; ++i) {
      const double x = widen(a[i]);
      const double y = widen(b[i]);
      const double results[] = {x + y,          x * y,        x * y + x,
                                std::max(x, y), -std::abs(x), x < y ? 1.0 : 0.0};
      for (int j = 0; j < 6; ++j)
        expected[(i / 2 * 6 + j) * 2 + i % 2] = round(results[j]);
    }
    Buffer<uint16_t> as(a);
    Buffer<uint16_t> bs(b);
    Buffer<uint16_t> out(12 * n);
    module.kernel(kernel).launch(2, 32, 0, as, bs, out, n);
    EXPECT_EQ(out.read(), expected);
  }
};
NYSJIT_EVERY_MODE(NumberFixture);

/// Toward zero.
template <typename To, typename From> uint16_t truncated(double value, To round, From widen) {
  const uint16_t nearest = round(value);
  return std::abs(widen(nearest)) > std::abs(value) ? uint16_t(nearest - 1) : nearest;
}

uint64_t reversed(uint64_t value, int bits) {
  uint64_t result = 0;
  for (int i = 0; i < bits; ++i)
    result |= (value >> i & 1) << (bits - 1 - i);
  return result;
}

} // namespace

TEST_P(NumberFixture, PairsOfHalves) { checkPairs("halfOps", toHalf, fromHalf); }

TEST_P(NumberFixture, PairsOfBfloats) { checkPairs("bfloatOps", toBfloat, fromBfloat); }

TEST_P(NumberFixture, Conversions) {
  Module module(compiled("half"));
  const int n = 100;
  const std::vector<float> values = random<float>(n, -1000, 1000);
  Buffer<float> in(values);
  Buffer<float> back(2 * n);
  Buffer<uint16_t> halves(2 * n);
  Buffer<uint16_t> bfloats(2 * n);
  Buffer<int> integers(4 * n);
  module.kernel("conversions").launch(4, 32, 0, in, halves, bfloats, back, integers, n);
  std::vector<uint16_t> expectedHalves;
  std::vector<uint16_t> expectedBfloats;
  std::vector<float> expectedBack;
  std::vector<int> expectedIntegers;
  for (float x : values) {
    expectedHalves.insert(expectedHalves.end(), {toHalf(x), truncated(x, toHalf, fromHalf)});
    expectedBfloats.insert(expectedBfloats.end(),
                           {toBfloat(x), truncated(x, toBfloat, fromBfloat)});
    expectedBack.insert(expectedBack.end(),
                        {float(fromHalf(toHalf(x))), float(fromBfloat(toBfloat(x)))});
    expectedIntegers.insert(
        expectedIntegers.end(),
        {int(std::nearbyint(x)), int(x), int(std::ceil(x)), int(std::floor(fromHalf(toHalf(x))))});
  }
  EXPECT_EQ(halves.read(), expectedHalves);
  EXPECT_EQ(bfloats.read(), expectedBfloats);
  EXPECT_EQ(back.read(), expectedBack);
  EXPECT_EQ(integers.read(), expectedIntegers);
}

TEST_P(NumberFixture, Integers) {
  Module module(compiled("wide"));
  const int n = 64;
  std::vector<int64_t> a;
  std::vector<int64_t> b;
  std::vector<int64_t> expected;
  for (int i = 0; i < n; ++i) {
    a.push_back(int64_t(generator()) >> (generator() % 60));
    b.push_back(int64_t(generator()) >> (generator() % 60));
  }
  b[3] = 0;
  for (int i = 0; i < n; ++i) {
    const int64_t x = a[i];
    const int64_t y = b[i];
    const uint64_t ux = x;
    const uint64_t uy = y;
    expected.insert(expected.end(),
                    {int64_t(ux + uy), int64_t(ux * uy), int64_t((__int128(x) * y) >> 64),
                     int64_t((static_cast<unsigned __int128>(ux) * uy) >> 64), y ? x / y : 0,
                     int64_t(y ? ux % uy : 0), x >> (y & 63), int64_t(ux >> (y & 63)),
                     int64_t(ux << (y & 63)),
                     __builtin_popcountll(ux) * 100 + (x ? __builtin_clzll(ux) : 64),
                     int64_t(reversed(ux, 64)), std::min(x, y) ^ __builtin_ffsll(y)});
  }
  Buffer<int64_t> as(a);
  Buffer<int64_t> bs(b);
  Buffer<int64_t> out(12 * n);
  module.kernel("integers").launch(2, 32, 0, as, bs, out, n);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(NumberFixture, Doubles) {
  Module module(compiled("wide"));
  const int n = 40;
  const std::vector<double> a = random<double>(n, -1e3, 1e3);
  const std::vector<double> b = random<double>(n, -1, 1);
  std::vector<double> expected;
  for (int i = 0; i < n; ++i) {
    const double x = a[i];
    const double y = b[i];
    expected.insert(expected.end(),
                    {x + y, x * y, x / y, std::sqrt(std::abs(x)), std::fma(x, y, -x),
                     double(float(x)), std::floor(x), std::max(x, y)});
  }
  Buffer<double> as(a);
  Buffer<double> bs(b);
  Buffer<double> out(8 * n);
  module.kernel("doubles").launch(2, 32, 0, as, bs, out, n);
  EXPECT_EQ(out.read(), expected); // all of them correctly rounded
}

TEST_P(NumberFixture, Bits) {
  Module module(compiled("wide"));
  const int n = 96;
  std::vector<uint32_t> a;
  std::vector<uint32_t> b;
  std::vector<uint32_t> expected;
  for (int i = 0; i < n; ++i) {
    a.push_back(uint32_t(generator()));
    b.push_back(uint32_t(generator()) >> (generator() % 32));
  }
  for (int i = 0; i < n; ++i) {
    const uint32_t x = a[i];
    const uint32_t y = b[i];
    const uint64_t both = uint64_t(y) << 32 | x;
    int dot = 7;
    for (int j = 0; j < 4; ++j)
      dot += int8_t(x >> 8 * j) * int8_t(y >> 8 * j);
    const auto byteOf = [&](int j) { return uint32_t(both >> 8 * j & 255); };
    expected.insert(expected.end(),
                    {byteOf(5) | byteOf(1) << 8 | byteOf(7) << 16 | byteOf(3) << 24,
                     uint32_t(both << (y & 31) >> 32), uint32_t(both >> (x & 31)),
                     (x & y) | ((~x & y >> 3) ^ 0x55aa), uint32_t(reversed(x, 32)),
                     uint32_t(y ? __builtin_clz(y) : 32), uint32_t(dot),
                     uint32_t(uint64_t(x) * y >> 32), x >> 5 & 0x7ff, (x > y ? x - y : y - x) + 3});
  }
  Buffer<uint32_t> as(a);
  Buffer<uint32_t> bs(b);
  Buffer<uint32_t> out(10 * n);
  module.kernel("bits").launch(3, 32, 0, as, bs, out, n);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(NumberFixture, PreciseFunctions) {
  Module module(compiled("functions"));
  const int n = 64;
  const std::vector<float> values = random<float>(n, -200, 200);
  std::vector<double> expected;
  for (float f : values) {
    const double x = f;
    const double size = std::abs(x);
    const float hundredth = f * 0.01f;
    const float tenth = f * 0.1f;
    expected.insert(expected.end(), {std::exp(hundredth), std::log(std::abs(f) + 1.0f), std::sin(x),
                                     std::cos(double(f * 1000)), std::tanh(tenth), std::sqrt(size),
                                     1 / double(f + 1000), std::erf(tenth), std::pow(size, 0.75),
                                     1 / std::sqrt(double(std::abs(f) + 1)), std::fmod(x, 3.25),
                                     std::log1p(size) + std::exp2(hundredth)});
  }
  Buffer<float> in(values);
  Buffer<float> out(12 * n);
  module.kernel("precise").launch(2, 32, 0, in, out, n);
  expectNear(out.read(), expected, 1e-6, 1e-6);
}

TEST_P(NumberFixture, FastFunctions) {
  Module module(compiled("functions"));
  const int n = 64;
  const std::vector<float> values = random<float>(n, -200, 200);
  std::vector<double> expected;
  for (double x : values)
    expected.insert(expected.end(),
                    {std::exp(x * 0.01), std::log(std::abs(x) + 2), std::sin(x * 0.01),
                     std::cos(x * 0.01), x / 7, std::sqrt(std::abs(x))});
  Buffer<float> in(values);
  Buffer<float> out(6 * n);
  module.kernel("fast").launch(2, 32, 0, in, out, n);
  expectNear(out.read(), expected, 2e-6, 2e-6);
}

TEST_P(NumberFixture, DoubleFunctions) {
  Module module(compiled("functions"));
  const int n = 40;
  const std::vector<double> values = random<double>(n, -50, 50);
  std::vector<double> expected;
  for (double x : values)
    expected.insert(expected.end(), {std::exp(x * 0.01), std::log(std::abs(x) + 1), std::sin(x),
                                     std::pow(std::abs(x) + 0.5, 1.25)});
  Buffer<double> in(values);
  Buffer<double> out(4 * n);
  module.kernel("doubles").launch(2, 32, 0, in, out, n);
  expectNear(out.read(), expected, 1e-14, 1e-15);
}
