// nysjit_calibrate: the same probes, bit for bit, however the same queries are given; what they are
// is clusters_test.cpp's to say.
#include "runtime/npy/half.h"
#include "tests/runtime/calibrated.h"

#include <cfenv>
#include <cmath>
#include <limits>
#include <thread>

namespace nysjit {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Two sequences, of 40 and 25 positions, one after the other: what most tests calibrate on.
struct TwoSequences : Calibrated {
  void SetUp() override {
    Calibrated::SetUp();
    first = denseQueries(1, 40);
    second = denseQueries(1, 25, 1);
    expected = probesOf({runOf(first->tensor), runOf(second->tensor)});
  }
  std::unique_ptr<Floats> first;
  std::unique_ptr<Floats> second;
  std::vector<float> expected;
};

TEST_F(TwoSequences, TheOrderOfRunsAndTheSeedMatter) {
  EXPECT_NE(probesOf({runOf(first->tensor)}), expected);
  EXPECT_NE(probesOf({runOf(first->tensor), runOf(second->tensor)}, 1), expected);
  EXPECT_EQ(probesOf({runOf(first->tensor), runOf(second->tensor)}, 0), expected);
}

TEST_F(TwoSequences, PackedIsTheSame) {
  Floats q({67, queryHeads, probeSize}); // two rows of no sequence, the last
  q.elements.assign(q.elements.size(), nan);
  fillRows(q.elements.data(), probeSize, queryHeads * probeSize, 0, 40);
  fillRows(q.elements.data() + 40 * queryHeads * probeSize, probeSize, queryHeads * probeSize, 1,
           25);
  const Integers offsets({0, 40, 40, 65});
  nysjit_run_args run = runOf(q.tensor);
  run.cu_seqlens = &offsets.tensor;
  EXPECT_EQ(probesOf({run}), expected);
}

TEST_F(TwoSequences, PaddedIsTheSameWhateverThePaddingHolds) {
  Floats q({3, queryHeads, 44, probeSize});
  q.elements.assign(q.elements.size(), infinity);
  const auto row = [&](int64_t b, int64_t i) {
    return q.elements.data() + (b * queryHeads * 44 + i) * probeSize;
  };
  fillRows(row(0, 3), 44 * probeSize, probeSize, 0, 40);
  fillRows(row(2, 19), 44 * probeSize, probeSize, 1, 25);
  const Integers lengths({40, 0, 25});
  const Integers starts({3, 44, 19});
  nysjit_run_args run = runOf(q.tensor);
  run.seqlens = &lengths.tensor;
  run.seq_starts = &starts.tensor;
  EXPECT_EQ(probesOf({run}), expected);
  run.max_length = 40;
  EXPECT_EQ(probesOf({run}), expected);
}

TEST_F(TwoSequences, AnyStridesAreTheSame) {
  Floats q({1, queryHeads, 40, probeSize}); // rows of all heads, the last position first
  std::vector<float> rows(size_t(40 * queryHeads * (probeSize + 8)), nan);
  const int64_t rowStride = queryHeads * (probeSize + 8);
  fillRows(rows.data() + 39 * rowStride, probeSize + 8, -rowStride, 0, 40);
  q.strides = {0, probeSize + 8, -rowStride, 1};
  q.tensor.data = rows.data();
  q.tensor.byte_offset = uint64_t(39 * rowStride) * sizeof(float);
  q.tensor.strides = q.strides.data();
  EXPECT_EQ(probesOf({runOf(q.tensor), runOf(second->tensor)}), expected);
}

TEST_F(TwoSequences, RunsWithoutQueriesAddNothing) {
  const auto empty = denseQueries(2, 0);
  const auto none = denseQueries(0, 8);
  EXPECT_EQ(probesOf({runOf(empty->tensor), runOf(first->tensor), runOf(none->tensor),
                      runOf(second->tensor)}),
            expected);
}

TEST_F(TwoSequences, ThreadsDoNotMatter) {
  createContext(5);
  EXPECT_EQ(probesOf({runOf(first->tensor), runOf(second->tensor)}), expected);
}

TEST_F(TwoSequences, AHostsThreadsDoNotMatter) {
  createContext(3, [](void *, nysjit_task task, void *taskContext, size_t count) {
    std::vector<std::thread> threads;
    for (size_t i = count; i-- > 0;)
      threads.emplace_back(task, taskContext, i);
    for (std::thread &thread : threads)
      thread.join();
  });
  EXPECT_EQ(probesOf({runOf(first->tensor), runOf(second->tensor)}), expected);
}

TEST_F(TwoSequences, TheHostsFloatingPointDoesNotMatterAndStays) {
  for (const uint32_t threads : {1, 3}) {
    createContext(threads);
    std::fenv_t before;
    fegetenv(&before);
    fesetround(FE_UPWARD);
    feraiseexcept(FE_OVERFLOW);
    const int raised = fetestexcept(FE_ALL_EXCEPT);
    Floats probes({queryHeads, probeCount, probeSize});
    const nysjit_status status = call({runOf(first->tensor), runOf(second->tensor)}, probes.tensor);
    const int rounding = fegetround();
    const int raisedAfter = fetestexcept(FE_ALL_EXCEPT);
    fesetenv(&before);
    EXPECT_EQ(status, NYSJIT_OK);
    EXPECT_EQ(rounding, FE_UPWARD);
    EXPECT_EQ(raisedAfter, raised);
    EXPECT_EQ(probes.elements, expected);
  }
}

TEST_F(TwoSequences, AHeadIsItsOwn) {
  for (int64_t h = 0; h < queryHeads; ++h) {
    for (int64_t other = 0; other < queryHeads; ++other) // of the first sequence
      for (int64_t i = 0; i < 40 * probeSize; ++i)
        first->elements[size_t(other * 40 * probeSize + i)] =
            other == h ? queryAt(0, h, i / probeSize, i % probeSize) : float(i % 5);
    const std::vector<float> found = probesOf({runOf(first->tensor), runOf(second->tensor)});
    for (size_t i = size_t(h) * probeCount * probeSize; i < size_t(h + 1) * probeCount * probeSize;
         ++i)
      ASSERT_EQ(found[i], expected[i]) << "head " << h;
  }
}

TEST_F(TwoSequences, HeadsWithTheSameQueriesHaveTheSameProbes) {
  for (size_t i = 0; i < first->elements.size(); ++i)
    first->elements[i] = first->elements[i % size_t(40 * probeSize)];
  const std::vector<float> found = probesOf({runOf(first->tensor)});
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_EQ(found[i], found[i % size_t(probeCount * probeSize)]) << i;
}

TEST_F(TwoSequences, SixteenBitsHoldTheSameQueries) {
  for (const bool isBfloat16 : {false, true}) {
    const DLDataType type{uint8_t(isBfloat16 ? kDLBfloat : kDLFloat), 16, 1};
    const auto rounded = [&](float x) {
      return isBfloat16 ? floatToBfloat16(x) : floatToFloat16(x);
    };
    const std::string spec = probeSpec(isBfloat16 ? "bfloat16" : "float16");
    Cells<uint16_t> q(first->shape, type);
    for (size_t i = 0; i < q.elements.size(); ++i)
      q.elements[i] = rounded(first->elements[i]);
    const std::vector<float> exact = probesOf({runOf(first->tensor)});
    Floats wide({queryHeads, probeCount, probeSize});
    EXPECT_EQ(call({runOf(q.tensor)}, wide.tensor, spec), NYSJIT_OK) << nysjit_last_error();
    EXPECT_EQ(wide.elements, exact) << spec;
    Cells<uint16_t> narrow({queryHeads, probeCount, probeSize}, type);
    EXPECT_EQ(call({runOf(q.tensor)}, narrow.tensor, spec), NYSJIT_OK) << nysjit_last_error();
    for (size_t i = 0; i < exact.size(); ++i)
      ASSERT_EQ(narrow.elements[i], rounded(exact[i])) << spec;
  }
}

TEST_F(TwoSequences, ProbesMayHaveStrides) {
  Floats probes({queryHeads, probeCount, probeSize});
  std::vector<float> memory(probeCount * (queryHeads + 1) * probeSize, 7);
  probes.strides = {probeSize, (queryHeads + 1) * probeSize, 1};
  probes.tensor.strides = probes.strides.data();
  probes.tensor.data = memory.data();
  ASSERT_EQ(call({runOf(first->tensor), runOf(second->tensor)}, probes.tensor), NYSJIT_OK);
  for (int64_t p = 0; p < probeCount; ++p)
    for (int64_t h = 0; h < queryHeads + 1; ++h)
      for (int64_t e = 0; e < probeSize; ++e)
        ASSERT_EQ(memory[size_t((p * (queryHeads + 1) + h) * probeSize + e)],
                  h == queryHeads ? 7 : expected[size_t((h * probeCount + p) * probeSize + e)]);
}

TEST_F(TwoSequences, SaysWhatCameOfEachHead) {
  Floats probes({queryHeads, probeCount, probeSize});
  std::vector<nysjit_calibrated_head> heads(queryHeads);
  ASSERT_EQ(
      call({runOf(first->tensor), runOf(second->tensor)}, probes.tensor, probeSpec(), 0, &heads),
      NYSJIT_OK);
  for (int64_t h = 0; h < queryHeads; ++h) {
    EXPECT_EQ(heads[size_t(h)].queries, 65);
    EXPECT_GE(heads[size_t(h)].rounds, 1);
    double nearest = 0;
    std::vector<double> sum(probeSize);
    double squares = 0;
    for (const auto &[sequence, length] : {std::pair(0, 40), {1, 25}})
      for (int64_t i = 0; i < length; ++i) {
        double least = INFINITY;
        for (int64_t p = 0; p < probeCount; ++p) {
          double distance = 0;
          for (int64_t e = 0; e < probeSize; ++e)
            distance += std::pow(queryAt(sequence, h, i, e) -
                                     probes.elements[size_t((h * probeCount + p) * probeSize + e)],
                                 2);
          least = std::min(least, distance);
        }
        nearest += least;
        for (int64_t e = 0; e < probeSize; ++e) {
          sum[size_t(e)] += queryAt(sequence, h, i, e);
          squares += std::pow(queryAt(sequence, h, i, e), 2);
        }
      }
    EXPECT_NEAR(heads[size_t(h)].mean_square, nearest / 65, 1e-5);
    for (const double x : sum)
      squares -= x * x / 65;
    EXPECT_NEAR(heads[size_t(h)].mean_square_of_one, squares / 65, 1e-9);
  }
}

TEST_F(Calibrated, FewerQueriesThanProbesAreProbesThemselves) {
  const auto q = denseQueries(1, 2);
  const std::vector<float> found = probesOf({runOf(q->tensor)});
  for (int64_t h = 0; h < queryHeads; ++h) {
    std::vector<bool> isFound(2);
    for (int64_t p = 0; p < probeCount; ++p)
      for (int64_t i = 0; i < 2; ++i)
        if (std::equal(&found[size_t((h * probeCount + p) * probeSize)],
                       &found[size_t((h * probeCount + p) * probeSize)] + probeSize,
                       &q->elements[size_t((h * 2 + i) * probeSize)]))
          isFound[size_t(i)] = true;
    EXPECT_TRUE(isFound[0] && isFound[1]) << "head " << h;
  }
}

TEST_F(Calibrated, NoHeadsAreNoWork) {
  Floats q({1, 0, 8, probeSize});
  Floats probes({0, probeCount, probeSize});
  EXPECT_EQ(call({runOf(q.tensor)}, probes.tensor), NYSJIT_OK) << nysjit_last_error();
}

} // namespace
} // namespace nysjit
