// What has no limit, and what has one: addresses, lengths, workspaces, alignment.
#include "tests/conformance/conformance.h"
#include "tests/conformance/specs.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sys/mman.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Limits : public testing::TestWithParam<std::string> {
protected:
  Limits() : device(GetParam()) {}
  Seeded random;
  Device device;
};
INSTANTIATE_TEST_SUITE_P(Targets, Limits, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

TEST_P(Limits, AddressesBeyondTwoToThe31Elements) {
  if (device.gpu)
    GTEST_SKIP() << "skipped, sparse memory of this size is the CPU's";
  // Two batch elements more than 2^31 floats apart, positions 2^25 floats apart: sparse memory,
  // only touched pages exist.
  const int64_t n = 70;
  const int64_t d = 32;
  const int64_t batchStride = (int64_t(1) << 31) + 4096;
  const int64_t positionStride = int64_t(1) << 25;
  const size_t bytes = static_cast<size_t>(2 * batchStride + positionStride * n) * 4;
  auto map = [&] {
    return static_cast<float *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  };
  float *memory[4] = {map(), map(), map(), map()};
  for (float *m : memory)
    ASSERT_NE(static_cast<void *>(m), MAP_FAILED);
  const Inputs in = randomInputs(random.generator, 2, 1, 1, n, d);
  const std::vector<double> *numbers[3] = {&in.q, &in.k, &in.v};
  for (int x = 0; x < 3; ++x)
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t t = 0; t < n; ++t)
        for (int64_t e = 0; e < d; ++e)
          memory[x][b * batchStride + t * positionStride + e] =
              float((*numbers[x])[in.index(b, 0, t, e, 1)]);
  int64_t shape[] = {2, 1, n, d};
  int64_t strides[] = {batchStride, 0, positionStride, 1};
  DLTensor views[4];
  for (int x = 0; x < 4; ++x)
    views[x] = {memory[x], {kDLCPU, 0}, 4, {kDLFloat, 32, 1}, shape, strides, 0};
  strides[1] = d; // one head: any stride will do
  for (const char *spec : {causalSpec, exactSpec}) {
    Device::Program program = device.prepare(spec);
    nysjit_run_args args = {};
    args.size = sizeof args;
    args.q = &views[0];
    args.k = &views[1];
    args.v = &views[2];
    args.o = &views[3];
    ASSERT_EQ(nysjit_run(program.get(), &args, nullptr), NYSJIT_OK) << nysjit_last_error();
    std::vector<double> o;
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t t = 0; t < n; ++t)
        for (int64_t e = 0; e < d; ++e)
          o.push_back(memory[3][b * batchStride + t * positionStride + e]);
    EXPECT_LE(relativeError(o, expected(spec, in)), 1e-5) << spec;
  }
  for (float *m : memory)
    munmap(m, bytes);
}

TEST_P(Limits, PackedSequencesBeyondTwoToThe31Elements) {
  if (device.gpu)
    GTEST_SKIP() << "skipped, sparse memory of this size is the CPU's";
  const int64_t n = 100;
  const int64_t d = 32;
  const int64_t positionStride = int64_t(1) << 25; // row 64 is 2^31 floats from the first
  const size_t bytes = static_cast<size_t>(positionStride * n) * 4;
  Inputs in = randomInputs(random.generator, 1, 1, 1, n, d);
  in.cuSeqlens = {3, 40, 40, 90};
  const std::vector<double> *numbers[3] = {&in.q, &in.k, &in.v};
  int64_t shape[] = {n, 1, d};
  int64_t strides[] = {positionStride, d, 1};
  DLTensor views[4];
  for (int x = 0; x < 4; ++x) {
    auto *memory = static_cast<float *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ASSERT_NE(static_cast<void *>(memory), MAP_FAILED);
    for (int64_t i = 0; i < n * d; ++i)
      memory[i / d * positionStride + i % d] = x < 3 ? float((*numbers[x])[size_t(i)]) : NAN;
    views[x] = {memory, {kDLCPU, 0}, 3, {kDLFloat, 32, 1}, shape, strides, 0};
  }
  Tensor offsets = makeIntegers(in.cuSeqlens);
  Tensor sources = makeIntegers({17, 0, 20});
  const DLTensor cuSeqlens = offsets.view();
  const DLTensor sourceLen = sources.view();
  for (const char *spec : {causalSpec, exactSpec, bidirectionalSpec, prefixSpec}) {
    nysjit_run_args args = {
        .size = sizeof args, .q = &views[0], .k = &views[1], .v = &views[2], .o = &views[3]};
    args.cu_seqlens = &cuSeqlens;
    args.source_len = spec == prefixSpec ? &sourceLen : nullptr;
    in.sourceLen = spec == prefixSpec ? std::vector<int64_t>{17, 0, 20} : std::vector<int64_t>();
    ASSERT_EQ(nysjit_run(device.prepare(spec).get(), &args, nullptr), NYSJIT_OK)
        << nysjit_last_error();
    std::vector<double> o;
    for (int64_t i = 0; i < n * d; ++i)
      o.push_back(static_cast<float *>(views[3].data)[i / d * positionStride + i % d]);
    EXPECT_LE(relativeError(o, expected(spec, in)), 1e-5) << spec;
  }
  for (const DLTensor &view : views)
    munmap(view.data, bytes);
}

TEST_P(Limits, TooLongASequenceIsRefusedBeforeAnythingRuns) {
  const Inputs in = randomInputs(random.generator, 1, 1, 1, 32 * 12 + 1, 32);
  nysjit_status status = NYSJIT_OK;
  const std::vector<double> o =
      device.run(device.prepare(causalSpec).get(), in, "float32", "float32", &status);
  EXPECT_EQ(status, NYSJIT_INVALID_SHAPE);
  EXPECT_NE(std::string(nysjit_last_error())
                .find("at most landmarks * segment_len = 384 positions, found 385"),
            std::string::npos)
      << nysjit_last_error();
  EXPECT_TRUE(std::all_of(o.begin(), o.end(), [](double x) { return std::isnan(x); }));
}

/// A tensor without data: sizes are all that is asked.
struct Shape {
  int64_t extents[4];
  DLTensor view(const Place &place) {
    return {nullptr, {place.isGpu() ? kDLCUDA : kDLCPU, 0}, 4, {kDLFloat, 32, 1}, extents, nullptr,
            0};
  }
};
int64_t workspaceOf(const Device &device, nysjit_program *program, int64_t batch,
                    int64_t queryHeads, int64_t length) {
  Shape queries{{batch, queryHeads, length, 32}};
  Shape keys{{batch, 1, length, 32}};
  const DLTensor q = queries.view(device.place);
  const DLTensor k = keys.view(device.place);
  nysjit_run_args args = {};
  args.size = sizeof args;
  args.q = args.o = &q;
  args.k = args.v = &k;
  size_t bytes = 0;
  EXPECT_EQ(nysjit_workspace_size(program, &args, &bytes), NYSJIT_OK) << nysjit_last_error();
  return static_cast<int64_t>(bytes);
}

/// Positions a partial sum over the past has, where a kernel's config splits them: 0 on the CPU.
int64_t splitOf(nysjit_program *program) {
  nysjit_program_info info = {};
  info.size = sizeof info;
  EXPECT_EQ(nysjit_program_get_info(program, &info), NYSJIT_OK);
  int64_t split = 0;
  for (const auto &kernel : nlohmann::json::parse(info.config_json))
    split = std::max(split, kernel.value("split", int64_t(0)));
  return split;
}

TEST_P(Limits, WorkspaceIsOfTheLandmarksAlone) {
  constexpr int64_t m = 64;
  constexpr int64_t d = 32;
  constexpr int64_t heads = 2 * 3;
  struct Row {
    const char *spec;
    int64_t floats;
    int64_t buffers; // floats a head
  };
  const Row rows[] = {{R"({"layout": "exact_causal", "head_dim": 32})", 0, 0},
                      {R"({"layout": "causal", "head_dim": 32, )"
                       R"("landmarks": 64})",
                       m * (3 * d + 3), 6},
                      {R"({"layout": "causal", "head_dim": 32, "landmarks": 64, )"
                       R"("landmark_value": "streaming"})",
                       m * (2 * d + 1), 3},
                      {R"({"layout": "segment_causal", "head_dim": 32, )"
                       R"("landmarks": 64})",
                       m * (3 * d + 2), 5},
                      {R"({"layout": "bidirectional", "head_dim": 32, )"
                       R"("landmarks": 64})",
                       5 * m * m + m * (4 * d + 2), 7}};
  for (const auto &[spec, floats, buffers] : rows) {
    Device::Program program = device.prepare(spec);
    const int64_t split = splitOf(program.get());
    EXPECT_TRUE(device.gpu || split == 0) << spec;
    for (int64_t n : {m, 16 * m, 1000 * m}) { // the landmarks stay as many
      const int64_t partial = split ? (n + split - 1) / split * m * (d + 2) : 0;
      const int64_t alignment = device.gpu ? 256 * (buffers + 3) : 64 * buffers;
      EXPECT_LE(workspaceOf(device, program.get(), 2, 3, n),
                heads * (floats + partial) * 4 + alignment)
          << spec << " n " << n;
    }
  }
}

TEST_P(Limits, AlignedTensorsTakeTheKernelsForThem) {
  if (!device.gpu)
    GTEST_SKIP() << "skipped, the CPU has one kernel for all";
  for (const std::string dtype : {"float32", "bfloat16"})
    for (const int64_t padding : {0, 8, 1}) {
      Inputs in = randomInputs(random.generator, 1, 1, 1, 100, 32, dtype);
      in.padding = padding;
      Device::Program program = device.prepare(inDtype(causalSpec, dtype));
      std::vector<std::string> launched;
      device.run(program.get(), in, dtype, "float32", nullptr, &launched);
      const std::string output = padding == 1 ? "causal_output_unaligned" : "causal_output";
      EXPECT_EQ(std::count(launched.begin(), launched.end(), output), 1)
          << dtype << " padding " << padding << ": " << testing::PrintToString(launched);
    }
}

} // namespace
