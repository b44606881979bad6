// nysjit_calibrate: what is wrong with its arguments is a status and a message, and nothing is
// written.
#include "tests/runtime/calibrated.h"

#include <cstddef>
#include <functional>
#include <limits>
#include <tuple>

namespace nysjit {
namespace {

struct CalibrateErrors : Calibrated {
  void SetUp() override {
    Calibrated::SetUp();
    makeArguments();
  }
  /// Arguments that are right.
  void makeArguments() {
    q = denseQueries(2, 9);
    probes.shape = {queryHeads, probeCount, probeSize};
    probes.tensor.dtype.bits = 32;
    probes.tensor.data = probes.elements.data();
    probes.elements.assign(probes.elements.size(), untouched);
    run = runOf(q->tensor);
    pointers = {&run, &run};
    args.size = sizeof args;
    args.runs = pointers.data();
    args.run_count = 2;
    args.probes = &probes.tensor;
  }
  /// The message of a call with these arguments, which is refused.
  std::string refuse(nysjit_status expected, const std::string &spec = probeSpec()) {
    EXPECT_EQ(nysjit_calibrate(context, spec.c_str(), &args), expected) << nysjit_last_error();
    for (const float number : probes.elements)
      EXPECT_EQ(number, untouched);
    return nysjit_last_error();
  }

  static constexpr float untouched = 77;
  std::unique_ptr<Floats> q;
  Floats probes{{queryHeads, probeCount, probeSize}};
  nysjit_run_args run;
  std::vector<const nysjit_run_args *> pointers;
  nysjit_calibrate_args args = {};
};

TEST_F(CalibrateErrors, NullIsNamed) {
  EXPECT_EQ(nysjit_calibrate(nullptr, "{}", &args), NYSJIT_INVALID_ARGUMENT);
  EXPECT_STREQ(nysjit_last_error(), "context: expected a pointer, found NULL");
  EXPECT_EQ(nysjit_calibrate(context, nullptr, &args), NYSJIT_INVALID_ARGUMENT);
  EXPECT_STREQ(nysjit_last_error(), "spec_json: expected a pointer, found NULL");
  EXPECT_EQ(nysjit_calibrate(context, "{}", nullptr), NYSJIT_INVALID_ARGUMENT);
  EXPECT_STREQ(nysjit_last_error(), "args: expected a struct, found NULL");
  pointers[1] = nullptr;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT), "runs[1]: expected a struct, found NULL");
  args.runs = nullptr;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT), "runs: expected run_count pointers, found NULL");
}

TEST_F(CalibrateErrors, AStructOfAnotherSizeIsNamed) {
  args.size = 3;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT).find("args.size: expected the struct's size"), 0u);
  args.size = sizeof args;
  run.size = 3;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT).find("runs[0].size: expected the struct's size"), 0u);
}

TEST_F(CalibrateErrors, AnOlderStructIsTaken) {
  args.size = offsetof(nysjit_calibrate_args, seed);
  args.seed = 5; // beyond its end
  ASSERT_EQ(nysjit_calibrate(context, probeSpec().c_str(), &args), NYSJIT_OK)
      << nysjit_last_error();
  EXPECT_EQ(probes.elements, probesOf({run, run}, 0));
}

TEST_F(CalibrateErrors, ASpecWithoutProbesIsNamed) {
  EXPECT_EQ(refuse(NYSJIT_INVALID_KEY,
                   R"({"layout":"causal","head_dim":16,"landmarks":8,"segment_len":4})"),
            "landmark_source: expected learned, which has probes to find, found segment_mean");
  EXPECT_EQ(refuse(NYSJIT_INVALID_KEY, R"({"layout":"exact_causal","head_dim":16})"),
            "layout: expected causal, whose landmarks may be seen through probes, found "
            "exact_causal");
  EXPECT_EQ(refuse(NYSJIT_INVALID_KEY, R"({"layout":"scan","head_dim":16,"landmarks":8,)"
                                       R"("landmark_source":"learned"})"),
            "layout: expected causal, whose landmarks may be seen through probes, found scan");
  EXPECT_EQ(refuse(NYSJIT_INVALID_KEY, R"({"layout":"causal","head_dim":17})").find("head_dim: "),
            0u);
  refuse(NYSJIT_INVALID_JSON, "[");
}

TEST_F(CalibrateErrors, NoQueryIsAnError) {
  const std::string message = "runs: expected at least one query of each head, found none";
  args.run_count = 0;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT), message);
  const auto empty = denseQueries(2, 0);
  run.q = &empty->tensor;
  args.run_count = 2;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT), message);
}

TEST_F(CalibrateErrors, WhatIsNotFiniteIsNamed) {
  float &number = q->elements[size_t(((1 * queryHeads + 2) * 9 + 5) * probeSize + 3)];
  for (const auto &[value, name] : {std::pair(std::numeric_limits<float>::quiet_NaN(), "nan"),
                                    {std::numeric_limits<float>::infinity(), "inf"},
                                    {-std::numeric_limits<float>::infinity(), "-inf"}}) {
    number = value;
    EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT),
              std::string("runs[0].q: expected finite queries, found ") + name +
                  " in sequence 1, head 2, position 5");
  }
}

TEST_F(CalibrateErrors, ATensorThatDoesNotFitIsNamed) {
  constexpr nysjit_status argument = NYSJIT_INVALID_ARGUMENT;
  constexpr nysjit_status shape = NYSJIT_INVALID_SHAPE;
  const std::tuple<std::function<void()>, nysjit_status, const char *> cases[] = {
      {[&] { run.q = nullptr; }, argument, "runs[0].q: expected a tensor, found NULL"},
      {[&] { args.probes = nullptr; }, argument, "probes: expected a tensor, found NULL"},
      {[&] { run.max_length = 5; }, argument,
       "runs[0].max_length: expected 0 for sequences of one length, found 5"},
      {[&] { q->tensor.device.device_type = kDLCUDA; }, shape, "runs[0].q.device: expected CPU"},
      {[&] { q->tensor.dtype.bits = 16; }, shape,
       "runs[0].q.dtype: expected float32, found float16"},
      {[&] { q->tensor.ndim = 3; }, shape, "runs[0].q.ndim: expected 4 dimensions"},
      {[&] { q->shape[3] = 8; }, shape, "runs[0].q.shape[3]: expected 16, found 8"},
      {[&] { q->shape[1] = 2; }, shape,
       "runs[0].q.shape[1]: expected 3 (Hq, as in probes), found 2"},
      {[&] { probes.shape[1] = 3; }, shape, "probes.shape[1]: expected 4, found 3"},
      {[&] { probes.tensor.dtype.bits = 16; }, shape,
       "probes.dtype: expected float32, found float16"},
      {[&] { probes.tensor.data = q->elements.data(); }, shape,
       "probes: expected an output that does not overlap q, found one that does"},
  };
  for (const auto &[breakIt, status, message] : cases) {
    makeArguments();
    breakIt();
    const std::string found = refuse(status);
    EXPECT_TRUE(found.starts_with(message)) << message << "\n" << found;
  }
}

TEST_F(CalibrateErrors, SequencesThatDoNotFitAreNamed) {
  const Integers three({1, 2, 3});
  const Integers tooLong({9, 10});
  const Integers both({9, 9});
  const Integers offsets({0, 9, 18});
  const Integers noStarts({0, 0, 0});
  run.seqlens = &three.tensor;
  EXPECT_EQ(refuse(NYSJIT_INVALID_SHAPE),
            "runs[0].seqlens: expected 2 numbers, one a sequence, or none, found 3");
  run.seqlens = &tooLong.tensor;
  EXPECT_EQ(refuse(NYSJIT_INVALID_SHAPE), "runs[0].seqlens[1]: expected 0 to 9, found 10");
  run.seqlens = &both.tensor;
  run.seq_starts = &noStarts.tensor;
  EXPECT_EQ(refuse(NYSJIT_INVALID_SHAPE),
            "runs[0].seq_starts: expected as many numbers as seqlens (2), or none, found 3");
  Floats packed({18, queryHeads, probeSize});
  run = runOf(packed.tensor);
  run.cu_seqlens = &offsets.tensor;
  run.seqlens = &both.tensor;
  EXPECT_EQ(refuse(NYSJIT_INVALID_SHAPE),
            "runs[0].seqlens: expected none with cu_seqlens, found 2");
  run.seqlens = nullptr;
  run.cu_seqlens = &three.tensor;
  packed.shape[0] = 2;
  EXPECT_EQ(refuse(NYSJIT_INVALID_SHAPE), "runs[0].cu_seqlens[2]: expected 2 to 2, found 3");
}

TEST_F(CalibrateErrors, RoomIsForAllHeadsOrForNone) {
  std::vector<nysjit_calibrated_head> heads(queryHeads + 1);
  args.heads = heads.data();
  args.head_count = heads.size();
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT),
            "head_count: expected the number of query heads, or 0, found 4");
  args.head_count = 0;
  EXPECT_EQ(refuse(NYSJIT_INVALID_ARGUMENT).find("heads: "), 0u);
}

TEST_F(CalibrateErrors, AHostThatRunsNoTaskIsSaid) {
  createContext(3, [](void *, nysjit_task, void *, size_t) {});
  EXPECT_EQ(refuse(NYSJIT_IO),
            "queries: expected a thread, and a parallel_for that runs its tasks, found none");
}

} // namespace
} // namespace nysjit
