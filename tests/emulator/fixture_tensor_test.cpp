// mma.cu, wmma.cu, attention.cu, hopper.cu: tensor cores and the moves that feed them.
#include "tests/emulator/fixture.h"

using namespace nysjit::emulator_test;

namespace {

constexpr int M = 32;
constexpr int N = 48;
constexpr int K = 64;

struct TensorFixture : Fixture {
  /// A 16-bit product, a warp a tile of 16 x `width`. B is column-major for wmma.
  template <typename Narrow, typename Widen>
  void checkProduct(const char *file, const char *kernel, Narrow narrow, Widen widen,
                    bool columnMajor, int width) {
    Module module(compiled(file));
    const std::vector<uint16_t> a = narrow(random<double>(M * K, -1, 1));
    const std::vector<uint16_t> b = narrow(random<double>(K * N, -1, 1));
    Buffer<uint16_t> as(a);
    Buffer<uint16_t> bs(b);
    Buffer<float> out(M * N);
    module.kernel(kernel).launch({unsigned(N / width), M / 16}, 32, 0, as, bs, out, N, K);
    expectNear(out.read(),
               product(widen(a), widen(b), M, N, K, columnMajor ? 1 : N, columnMajor ? K : 1), 1e-5,
               1e-5);
    EXPECT_EQ(lastCounts().mma_flops, 2 * M * N * K);
  }
};
NYSJIT_EVERY_MODE(TensorFixture);

struct HopperFixture : Fixture {};
NYSJIT_EVERY_MODE(HopperFixture, 90);

} // namespace

TEST_P(TensorFixture, DISABLED_WmmaHalf) {
  checkProduct("wmma", "wmmaHalf", toHalves, fromHalves, true, 16);
}
TEST_P(TensorFixture, DISABLED_WmmaBfloat) {
  checkProduct("wmma", "wmmaBfloat", toBfloats, fromBfloats, true, 16);
}
TEST_P(TensorFixture, MmaHalf) { checkProduct("mma", "mmaHalf", toHalves, fromHalves, false, 8); }
TEST_P(TensorFixture, MmaBfloat) {
  checkProduct("mma", "mmaBfloat", toBfloats, fromBfloats, false, 8);
}

TEST_P(TensorFixture, MmaTf32) {
  Module module(compiled("mma"));
  // Multiples of 1/512 below 2 have the ten bits that tf32 keeps.
  std::vector<double> a;
  std::vector<double> b;
  for (int value : random<int>(M * K, -1023, 1024))
    a.push_back(value / 512.0);
  for (int value : random<int>(K * N, -1023, 1024))
    b.push_back(value / 512.0);
  Buffer<float> as(std::vector<float>(a.begin(), a.end()));
  Buffer<float> bs(std::vector<float>(b.begin(), b.end()));
  Buffer<float> out(M * N);
  module.kernel("mmaTf32").launch({N / 8, M / 16}, 32, 0, as, bs, out, N, K);
  expectNear(out.read(), product(a, b, M, N, K, N, 1), 1e-5, 1e-4);
}

TEST_P(TensorFixture, Attention) {
  Module module(compiled("attention"));
  const int length = 192;
  const int d = 64;
  const std::vector<uint16_t> q = toHalves(random<double>(length * d, -2, 2));
  const std::vector<uint16_t> k = toHalves(random<double>(length * d, -2, 2));
  const std::vector<uint16_t> v = toHalves(random<double>(length * d, -1, 1));
  Buffer<uint16_t> qs(q);
  Buffer<uint16_t> ks(k);
  Buffer<uint16_t> vs(v);
  Buffer<uint16_t> out(length * d);
  Buffer<float> lse(length);
  const float scale = 0.125f;
  module.kernel("attention").launch(length / 64, 128, 0, qs, ks, vs, out, lse, scale);
  std::vector<double> expected;
  std::vector<double> expectedLse;
  attend(fromHalves(q), fromHalves(k), fromHalves(v), length, d, scale, expected, expectedLse);
  expectNear(fromHalves(out.read()), expected, 2e-3, 1e-3);
  expectNear(lse.read(), expectedLse, 1e-5, 1e-5);
  EXPECT_EQ(lastCounts().ldmatrix_conflicts, 0); // rows of 144 bytes
}

TEST_P(HopperFixture, StmatrixTransposes) {
  Module module(fixture("hopper"));
  std::vector<uint16_t> values = random<uint16_t>(256, 0, 65535);
  std::vector<uint16_t> expected(256);
  for (int i = 0; i < 256; ++i)
    expected[i % 16 * 16 + i / 16] = values[i];
  Buffer<uint16_t> in(values);
  Buffer<uint16_t> out(256);
  module.kernel("transposeTile").launch(1, 32, 0, in, out);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(HopperFixture, ElectsOneLaneAWarp) {
  Module module(fixture("hopper"));
  const std::vector<int> values = random<int>(96, -100, 100);
  std::vector<int> expected(3);
  for (int i = 0; i < 96; ++i)
    expected[i / 32] += values[i];
  Buffer<int> in(values);
  Buffer<int> elected(std::vector<int>{0});
  Buffer<int> sums(3);
  module.kernel("elect").launch(1, 96, 0, in, elected, sums);
  EXPECT_EQ(elected.read()[0], 3);
  EXPECT_EQ(sums.read(), expected);
}

TEST_P(HopperFixture, BulkCopyCompletesABarrier) {
  Module module(fixture("hopper"));
  const std::vector<int> values = random<int>(200, -1000, 1000);
  Buffer<int> in(values);
  Buffer<int> out(200);
  module.kernel("bulkCopy").launch(1, 256, 0, in, out, 200);
  EXPECT_EQ(out.read(), std::vector<int>(values.rbegin(), values.rend()));
}
