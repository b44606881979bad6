// The kernels that Triton compiled (fixtures/triton_kernels.py).
#include "tests/emulator/fixture.h"

using namespace nysjit::emulator_test;

namespace {

/// A kernel of Triton's with what its PTX's first line says.
struct TritonKernel {
  explicit TritonKernel(const std::string &name)
      : ptx(fixture("triton_" + name)), module(ptx), kernel(module.kernel(name.c_str())) {
    if (sscanf(ptx.c_str(), "// %d bytes of shared memory, %d warps", &sharedBytes, &warps) != 2)
      throw std::runtime_error("no first line in triton_" + name);
    kernel.allowShared(sharedBytes);
  }
  template <typename... Arguments> void launch(Extent grid, const Arguments &...arguments) {
    const CUdeviceptr scratch = 0;
    kernel.launch(grid, unsigned(32 * warps), unsigned(sharedBytes), arguments..., scratch,
                  scratch);
  }
  std::string ptx;
  Module module;
  Kernel kernel;
  int sharedBytes = 0;
  int warps = 0;
};

struct TritonFixture : Fixture {};
NYSJIT_EVERY_MODE(TritonFixture, 80);

} // namespace

TEST_P(TritonFixture, Add) {
  TritonKernel kernel("add");
  const int n = 2500;
  const std::vector<float> x = random<float>(n, -1, 1);
  const std::vector<float> y = random<float>(n, -1, 1);
  Buffer<float> xs(x);
  Buffer<float> ys(y);
  Buffer<float> out(n);
  kernel.launch(3, xs, ys, out, n);
  std::vector<float> expected(n);
  for (int i = 0; i < n; ++i)
    expected[i] = x[i] + y[i];
  EXPECT_EQ(out.read(), expected);
}

TEST_P(TritonFixture, Softmax) {
  TritonKernel kernel("softmax");
  const int rows = 3;
  const int columns = 784;
  const std::vector<float> values = random<float>(rows * columns, -10, 10);
  Buffer<float> in(values);
  Buffer<float> out(rows * columns);
  kernel.launch(rows, in, out, columns);
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

TEST_P(TritonFixture, Layernorm) {
  TritonKernel kernel("layernorm");
  const int rows = 2;
  const int columns = 592;
  const std::vector<float> values = random<float>(rows * columns, -3, 5);
  const std::vector<float> weight = random<float>(columns, 0, 2);
  const std::vector<float> bias = random<float>(columns, -1, 1);
  Buffer<float> in(values);
  Buffer<float> weights(weight);
  Buffer<float> biases(bias);
  Buffer<float> out(rows * columns);
  kernel.launch(rows, in, weights, biases, out, columns, 1e-5f);
  std::vector<double> expected;
  for (int row = 0; row < rows; ++row) {
    const float *x = &values[row * columns];
    double mean = 0;
    double variance = 0;
    for (int i = 0; i < columns; ++i)
      mean += x[i] / double(columns);
    for (int i = 0; i < columns; ++i)
      variance += (x[i] - mean) * (x[i] - mean) / columns;
    for (int i = 0; i < columns; ++i)
      expected.push_back((x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i]);
  }
  expectNear(out.read(), expected, 1e-5, 1e-5);
}

TEST_P(TritonFixture, Matmul) {
  TritonKernel kernel("matmul");
  const int m = 70;
  const int n = 80;
  const int k = 144; // no multiples of the tiles
  const std::vector<uint16_t> a = toBfloats(random<double>(m * k, -1, 1));
  const std::vector<uint16_t> b = toBfloats(random<double>(k * n, -1, 1));
  Buffer<uint16_t> as(a);
  Buffer<uint16_t> bs(b);
  Buffer<uint16_t> out(m * n);
  kernel.launch({2, 2}, as, bs, out, m, n, k);
  expectNear(fromBfloats(out.read()), product(fromBfloats(a), fromBfloats(b), m, n, k, n, 1),
             1.0 / 256, 1e-5);
}

TEST_P(TritonFixture, Attention) {
  TritonKernel kernel("attention");
  const int length = 150;
  const int d = 64;
  const std::vector<uint16_t> q = toBfloats(random<double>(length * d, -2, 2));
  const std::vector<uint16_t> k = toBfloats(random<double>(length * d, -2, 2));
  const std::vector<uint16_t> v = toBfloats(random<double>(length * d, -1, 1));
  Buffer<uint16_t> qs(q);
  Buffer<uint16_t> ks(k);
  Buffer<uint16_t> vs(v);
  Buffer<uint16_t> out(length * d);
  Buffer<float> lse(length);
  kernel.launch((length + 63) / 64, qs, ks, vs, out, lse, length, 0.125f * 1.44269504f);
  std::vector<double> expected;
  std::vector<double> expectedLse;
  attend(fromBfloats(q), fromBfloats(k), fromBfloats(v), length, d, 0.125, expected, expectedLse);
  expectNear(fromBfloats(out.read()), expected, 1e-2, 1e-2);
  expectNear(lse.read(), expectedLse, 1e-5, 1e-5);
}
