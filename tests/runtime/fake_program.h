// What the tests of the C API share: tensors with owned shapes, a context on the fake worker, and a
// folder for its cache.
#pragma once
#include "runtime/include/nysjit.h"
#include "tests/runtime/temporary_folder.h"

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace nysjit {

constexpr int64_t fakeHeadDim = 16;
inline const char *fakeSpec() { return R"({"layout":"exact_causal","head_dim":16})"; }

/// A DLTensor over its own float32 (or 16-bit) elements: [B, H, n, d] with `padding` elements after
/// each row.
struct FakeTensor {
  FakeTensor(std::vector<int64_t> extents, int64_t padding = 0) : shape(std::move(extents)) {
    strides.assign(shape.size(), 1);
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= shape[i];
      if (i + 1 == shape.size())
        stride += padding;
    }
    elements.assign(static_cast<size_t>(stride) + 16, 0.0f);
    tensor = {elements.data(),
              {kDLCPU, 0},
              static_cast<int>(shape.size()),
              {kDLFloat, 32, 1},
              shape.data(),
              strides.data(),
              0};
  }
  FakeTensor(const FakeTensor &) = delete;
  float &at(int64_t b, int64_t h, int64_t i, int64_t c) {
    return elements[static_cast<size_t>(b * strides[0] + h * strides[1] + i * strides[2] +
                                        c * strides[3])];
  }
  void fill(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (float &element : elements)
      element = static_cast<float>(static_cast<int64_t>(random() % 17) - 8); // sums are exact
  }
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::vector<float> elements;
  DLTensor tensor;
};

/// q, k, v, o of one run.
struct FakeCall {
  FakeCall(int64_t B, int64_t H, int64_t n, int64_t d = fakeHeadDim, int64_t padding = 0)
      : q({B, H, n, d}, padding), k({B, H, n, d}), v({B, H, n, d}), o({B, H, n, d}, padding / 2) {
    q.fill(static_cast<uint64_t>(B * 1000 + H * 100 + n));
    args = {};
    args.size = sizeof args;
    args.q = &q.tensor, args.k = &k.tensor, args.v = &v.tensor, args.o = &o.tensor;
  }
  /// o = scale * q + row sum of q, everywhere.
  bool isRight(float scale) {
    for (int64_t b = 0; b < q.shape[0]; ++b)
      for (int64_t h = 0; h < q.shape[1]; ++h)
        for (int64_t i = 0; i < q.shape[2]; ++i) {
          float sum = 0;
          for (int64_t c = 0; c < q.shape[3]; ++c)
            sum += q.at(b, h, i, c);
          for (int64_t c = 0; c < q.shape[3]; ++c)
            if (o.at(b, h, i, c) != scale * q.at(b, h, i, c) + sum)
              return false;
        }
    return true;
  }
  FakeTensor q;
  FakeTensor k;
  FakeTensor v;
  FakeTensor o;
  nysjit_run_args args;
};

/// Sets an environment variable while it lives.
class ScopedSetting {
public:
  ScopedSetting(const char *variable, const std::string &value) : name(variable) {
    setenv(variable, value.c_str(), 1);
  }
  ~ScopedSetting() { unsetenv(name); }

private:
  const char *name;
};

/// A context whose compiler is the fake worker and whose cache is a folder of its own.
class FakeRuntime : public testing::Test {
protected:
  void SetUp() override { createContext(FAKE_WORKER, 0); }
  void TearDown() override { nysjit_context_destroy(context); }

  void createContext(const std::string &compiler, uint32_t threads) {
    nysjit_context_destroy(context);
    nysjit_context_options options = {};
    options.size = sizeof options;
    const std::string cache = folder / "cache";
    options.cache_dir = cache.c_str();
    options.compiler = compiler.c_str();
    options.threads = threads;
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  nysjit_status prepare(const char *spec = fakeSpec()) {
    nysjit_program_release(program);
    program = nullptr;
    return nysjit_prepare(context, spec, nullptr, "cpu:x86-64-v3", &program);
  }
  nysjit_program_info info() {
    nysjit_program_info filled = {};
    filled.size = sizeof filled;
    EXPECT_EQ(nysjit_program_get_info(program, &filled), NYSJIT_OK) << nysjit_last_error();
    return filled;
  }
  std::string countFile() { return folder / "count"; }
  size_t compiles() { return readAll(countFile()).size(); }
  ~FakeRuntime() override { nysjit_program_release(program); }

  TemporaryFolder folder;
  ScopedSetting count{"FAKE_WORKER_COUNT", folder / "count"};
  nysjit_context *context = nullptr;
  nysjit_program *program = nullptr;
};

} // namespace nysjit
