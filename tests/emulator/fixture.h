// What the tests of compiled kernels share: every mode, references, comparisons, 16-bit floats.
#pragma once
#include "tests/emulator/harness.h"

#include <cmath>
#include <cstring>
#include <random>

namespace nysjit::emulator_test {

/// A device in the mode of the test's parameter; at the end nothing may have been found.
class Fixture : public testing::TestWithParam<Mode> {
protected:
  void TearDown() override {
    EXPECT_STREQ(api().report(), "");
    EXPECT_EQ(lastCounts().races, 0);
  }
  /// The fixture as compiled for the device: compilers write PTX for 10.0 differently, from a newer
  /// LLVM.
  std::string compiled(const std::string &name) {
    return fixture(GetParam().capability == 100 ? name + "_sm100" : name);
  }
  /// `count` numbers from [low, high), the same for the same seed.
  template <typename T> std::vector<T> random(size_t count, double low, double high) {
    std::uniform_real_distribution<double> distribution(low, high);
    std::vector<T> values(count);
    for (T &value : values)
      value = T(distribution(generator));
    return values;
  }
  Device device{GetParam()};
  std::mt19937_64 generator{GetParam().seed};
};

inline std::vector<Mode> everyMode(int capability) {
  std::vector<Mode> modes;
  for (bool lazy : {false, true})
    for (uint64_t seed : {0, 1, 12345})
      modes.push_back({lazy, seed, capability});
  return modes;
}
/// Those of 8.0, and two of 10.0.
inline std::vector<Mode> everyMode() {
  std::vector<Mode> modes = everyMode(80);
  modes.insert(modes.end(), {{false, 2, 100}, {true, 3, 100}});
  return modes;
}

inline std::string modeName(const testing::TestParamInfo<Mode> &info) {
  return "sm" + std::to_string(info.param.capability) +
         (info.param.lazy ? "_lazy_seed" : "_eager_seed") + std::to_string(info.param.seed);
}

/// The tests of `suite`, a Fixture, in every mode, on a device of one capability or, without it, of
/// 8.0 and 10.0.
#define NYSJIT_EVERY_MODE(suite, ...)                                                              \
  INSTANTIATE_TEST_SUITE_P(EmulatorFixture, suite, testing::ValuesIn(everyMode(__VA_ARGS__)),      \
                           modeName)

inline uint16_t toHalf(double value) {
  const _Float16 half = _Float16(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}
inline double fromHalf(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return double(half);
}

/// To the nearest, ties to even. `value` must be exact or rounded to odd beyond bfloat16's bits;
/// doubles of the tests are.
inline uint16_t toBfloat(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  const uint64_t half = uint64_t(1) << 44;
  const uint64_t low = bits & ((half << 1) - 1);
  bits >>= 45;
  bits += low > half || (low == half && (bits & 1));
  const uint64_t rounded = bits << 45;
  std::memcpy(&value, &rounded, 8);
  const float narrow = float(value); // exact for normal numbers
  uint32_t word;
  std::memcpy(&word, &narrow, 4);
  return uint16_t(word >> 16);
}
inline double fromBfloat(uint16_t bits) {
  const uint32_t word = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

/// Every element within `absolute + relative * |expected|`; names the first that is not.
template <typename T>
void expectNear(const std::vector<T> &found, const std::vector<double> &expected, double relative,
                double absolute = 0) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    if (!(std::abs(double(found[i]) - expected[i]) <=
          absolute + relative * std::abs(expected[i]))) {
      ADD_FAILURE() << "element " << i << " of " << found.size() << ": expected " << expected[i]
                    << ", found " << double(found[i]);
      return;
    }
}

/// Row-major A (m x k) times B, element (p, j) of which is at p * rowStride + j * columnStride.
inline std::vector<double> product(const std::vector<double> &a, const std::vector<double> &b,
                                   int m, int n, int k, int rowStride, int columnStride) {
  std::vector<double> c(size_t(m) * n);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j)
      for (int p = 0; p < k; ++p)
        c[i * n + j] += a[i * k + p] * b[p * rowStride + j * columnStride];
  return c;
}

inline std::vector<uint16_t> toHalves(const std::vector<double> &values) {
  std::vector<uint16_t> halves;
  for (double value : values)
    halves.push_back(toHalf(value));
  return halves;
}
inline std::vector<double> fromHalves(const std::vector<uint16_t> &halves) {
  std::vector<double> values;
  for (uint16_t half : halves)
    values.push_back(fromHalf(half));
  return values;
}
inline std::vector<uint16_t> toBfloats(const std::vector<double> &values) {
  std::vector<uint16_t> bfloats;
  for (double value : values)
    bfloats.push_back(toBfloat(value));
  return bfloats;
}
inline std::vector<double> fromBfloats(const std::vector<uint16_t> &bfloats) {
  std::vector<double> values;
  for (uint16_t bfloat : bfloats)
    values.push_back(fromBfloat(bfloat));
  return values;
}

/// Causal attention of one head, [length][d], and the logarithms of its rows' sums.
inline void attend(const std::vector<double> &q, const std::vector<double> &k,
                   const std::vector<double> &v, int length, int d, double scale,
                   std::vector<double> &out, std::vector<double> &lse) {
  out.assign(size_t(length) * d, 0);
  lse.assign(length, 0);
  for (int i = 0; i < length; ++i) {
    std::vector<double> score(i + 1);
    double top = -INFINITY;
    double sum = 0;
    for (int j = 0; j <= i; ++j) {
      for (int c = 0; c < d; ++c)
        score[j] += scale * q[i * d + c] * k[j * d + c];
      top = std::max(top, score[j]);
    }
    for (double &one : score)
      sum += one = std::exp(one - top);
    for (int j = 0; j <= i; ++j)
      for (int c = 0; c < d; ++c)
        out[i * d + c] += score[j] / sum * v[j * d + c];
    lse[i] = top + std::log(sum);
  }
}

} // namespace nysjit::emulator_test
