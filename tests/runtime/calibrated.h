// What the tests of nysjit_calibrate share: queries in a tensor of any layout, a context, a call.
#pragma once
#include "runtime/include/nysjit_calibrate.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace nysjit {

constexpr int64_t queryHeads = 3;
constexpr int64_t probeCount = 4;
constexpr int64_t probeSize = 16;

inline std::string probeSpec(const std::string &dtype = "float32") {
  return R"({"layout":"causal","head_dim":16,"landmarks":8,"segment_len":4,)"
         R"("landmark_source":"learned","probes":4,"dtype":")" +
         dtype + "\"}";
}

/// A tensor in CPU memory, compact unless strides are set.
template <typename Element> struct Cells {
  Cells(std::vector<int64_t> extents, DLDataType type) : shape(std::move(extents)) {
    size_t count = 1;
    for (const int64_t extent : shape)
      count *= size_t(extent);
    elements.resize(count);
    tensor = {elements.data(), {kDLCPU, 0}, int32_t(shape.size()), type, shape.data(), nullptr, 0};
  }
  Cells(const Cells &) = delete;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::vector<Element> elements;
  DLTensor tensor;
};
struct Floats : Cells<float> {
  Floats(std::vector<int64_t> extents) : Cells(std::move(extents), {kDLFloat, 32, 1}) {}
};
struct Integers : Cells<int32_t> {
  Integers(std::vector<int32_t> values) : Cells({int64_t(values.size())}, {kDLInt, 32, 1}) {
    elements = std::move(values);
    tensor.data = elements.data();
  }
};

/// Queries of one head and position, the same wherever they lie: multiples of 1/16, which all
/// dtypes hold.
inline float queryAt(int64_t sequence, int64_t head, int64_t position, int64_t e) {
  std::mt19937 random(unsigned(((sequence * 7 + head) * 1000 + position) * 32 + e));
  return float(int(random() % 64) - 32) / 16;
}

/// Writes sequence `from`'s queries, positions [0, length), into rows that begin at `first`.
inline void fillRows(float *first, int64_t headStride, int64_t rowStride, int64_t from,
                     int64_t length) {
  for (int64_t h = 0; h < queryHeads; ++h)
    for (int64_t i = 0; i < length; ++i)
      for (int64_t e = 0; e < probeSize; ++e)
        first[h * headStride + i * rowStride + e] = queryAt(from, h, i, e);
}

/// [B, Hq, n, d]: sequences `first` to first + B - 1, each of n positions.
inline std::unique_ptr<Floats> denseQueries(int64_t batch, int64_t length, int64_t first = 0) {
  auto q = std::make_unique<Floats>(std::vector<int64_t>{batch, queryHeads, length, probeSize});
  for (int64_t b = 0; b < batch; ++b)
    fillRows(q->elements.data() + b * queryHeads * length * probeSize, length * probeSize,
             probeSize, first + b, length);
  return q;
}

inline nysjit_run_args runOf(const DLTensor &q) {
  nysjit_run_args args = {};
  args.size = sizeof args;
  args.q = &q;
  return args;
}

class Calibrated : public testing::Test {
protected:
  void SetUp() override { createContext(1); }
  void TearDown() override { nysjit_context_destroy(context); }
  void createContext(uint32_t threads, nysjit_parallel_for parallelFor = nullptr) {
    nysjit_context_destroy(context);
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = "";
    options.threads = threads;
    options.parallel_for = parallelFor;
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  nysjit_status call(const std::vector<nysjit_run_args> &runs, const DLTensor &probes,
                     const std::string &spec = probeSpec(), uint64_t seed = 0,
                     std::vector<nysjit_calibrated_head> *heads = nullptr) {
    std::vector<const nysjit_run_args *> pointers;
    for (const nysjit_run_args &run : runs)
      pointers.push_back(&run);
    nysjit_calibrate_args args = {};
    args.size = sizeof args;
    args.runs = pointers.data();
    args.run_count = pointers.size();
    args.probes = &probes;
    args.seed = seed;
    args.heads = heads ? heads->data() : nullptr;
    args.head_count = heads ? heads->size() : 0;
    return nysjit_calibrate(context, spec.c_str(), &args);
  }
  /// The probes [Hq, r, d]; expects success.
  std::vector<float> probesOf(const std::vector<nysjit_run_args> &runs, uint64_t seed = 0) {
    Floats probes({queryHeads, probeCount, probeSize});
    EXPECT_EQ(call(runs, probes.tensor, probeSpec(), seed), NYSJIT_OK) << nysjit_last_error();
    return probes.elements;
  }

  nysjit_context *context = nullptr;
};

} // namespace nysjit
