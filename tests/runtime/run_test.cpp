// Running a prepared program through the C API: values, strides, threads, workspace, timings.
#include "tests/runtime/fake_program.h"

#include <atomic>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nysjit {
namespace {

class Run : public FakeRuntime {
protected:
  void SetUp() override {
    FakeRuntime::SetUp();
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  }
};

TEST_F(Run, random_shapes_and_strides_give_the_right_values) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 50; ++i) {
    FakeCall call(random() % 4, random() % 5, random() % 70, fakeHeadDim,
                  static_cast<int64_t>(random() % 9));
    const float scale = static_cast<float>(random() % 8);
    call.args.scale = &scale;
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK)
        << nysjit_last_error() << " seed " << seed;
    EXPECT_TRUE(call.isRight(scale)) << "seed " << seed;
  }
}

TEST_F(Run, the_default_scale_is_one_over_root_d) {
  FakeCall call(1, 2, 5);
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_TRUE(call.isRight(0.25f)); // d = 16
}

TEST_F(Run, null_strides_are_compact) {
  FakeCall call(2, 3, 7);
  call.q.tensor.strides = call.o.tensor.strides = call.k.tensor.strides = nullptr;
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_TRUE(call.isRight(0.25f));
}

TEST_F(Run, negative_strides_walk_backwards) {
  FakeCall call(1, 1, 8);
  const int64_t last = 7 * call.q.strides[2];
  call.q.tensor.byte_offset = static_cast<uint64_t>(last) * sizeof(float);
  call.q.strides[2] = -call.q.strides[2];
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  float sum = 0;
  for (int64_t c = 0; c < fakeHeadDim; ++c)
    sum += call.q.elements[static_cast<size_t>(last + c)];
  EXPECT_EQ(call.o.at(0, 0, 0, 3), 0.25f * call.q.elements[static_cast<size_t>(last + 3)] + sum);
}

TEST_F(Run, offsets_past_2_to_31_elements_arrive) {
  constexpr int64_t stride = (int64_t(1) << 31) + 64;
  constexpr size_t bytes = (stride + 4096) * sizeof(float);
  void *space = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED)
    GTEST_SKIP() << "no 8 GiB of address space";
  FakeCall call(2, 1, 3);
  call.q.tensor.data = space;
  call.q.strides[0] = stride;
  static_cast<float *>(space)[stride + 5] = 3;
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(call.o.at(1, 0, 0, 5), 0.25f * 3 + 3);
  munmap(space, bytes);
}

TEST_F(Run, an_output_may_have_the_other_dtype) {
  FakeCall call(1, 1, 2);
  call.o.tensor.dtype = {kDLBfloat, 16, 1};
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  float sum = 0;
  for (int64_t c = 0; c < fakeHeadDim; ++c)
    sum += call.q.at(0, 0, 0, c);
  const float value = 0.25f * call.q.at(0, 0, 0, 1) + sum;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  EXPECT_EQ(reinterpret_cast<uint16_t *>(call.o.elements.data())[1], bits >> 16);
}

TEST_F(Run, empty_tensors_are_fine_and_need_no_memory) {
  for (const auto &[B, H, n] : {std::tuple{0, 2, 3}, {2, 0, 3}, {2, 2, 0}}) {
    FakeCall call(B, H, n);
    call.q.tensor.data = call.k.tensor.data = call.v.tensor.data = call.o.tensor.data = nullptr;
    EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  }
}

TEST_F(Run, the_callers_workspace_is_used) {
  FakeCall call(2, 2, 10);
  size_t bytes = 0;
  ASSERT_EQ(nysjit_workspace_size(program, &call.args, &bytes), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(bytes, 192u); // 2 * 2 * 10 floats, in multiples of 64
  alignas(64) char workspace[192] = {};
  call.args.workspace = workspace;
  call.args.workspace_size = sizeof workspace;
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_TRUE(call.isRight(0.25f));
  EXPECT_NE(workspace[0] | workspace[1] | workspace[2] | workspace[3], 0);
}

TEST_F(Run, timings_name_the_launches_that_ran) {
  FakeCall call(1, 3, 4);
  nysjit_launch_timing timings[1];
  size_t count = 0;
  call.args.timings = timings;
  call.args.timing_capacity = 1;
  call.args.timing_count = &count;
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(count, 2u); // the third launch's condition is 0
  EXPECT_STREQ(timings[0].kernel, "row_sum");
  EXPECT_EQ(timings[0].grid, 3);
  EXPECT_GE(timings[0].ms, 0);
}

TEST_F(Run, eight_threads_run_one_program_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        FakeCall call(2, 3, 10 + t);
        wrong += nysjit_run(program, &call.args, nullptr) != NYSJIT_OK || !call.isRight(0.25f);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Run, the_number_of_threads_does_not_matter) {
  for (uint32_t threads : {1u, 2u, 7u}) {
    createContext(FAKE_WORKER, threads);
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
    FakeCall call(3, 4, 9);
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
    EXPECT_TRUE(call.isRight(0.25f)) << threads;
  }
}

TEST_F(Run, the_hosts_parallel_for_is_used) {
  struct Host {
    size_t calls = 0;
    size_t tasks = 0;
    static void parallelFor(void *context, nysjit_task task, void *taskContext, size_t count) {
      Host &host = *static_cast<Host *>(context);
      ++host.calls;
      for (size_t i = count; i-- > 0; ++host.tasks)
        task(taskContext, i);
    }
  } host;
  nysjit_context_options options = {};
  const std::string cache = folder / "cache";
  options.size = sizeof options;
  options.cache_dir = cache.c_str();
  options.compiler = FAKE_WORKER;
  options.threads = 3;
  options.parallel_for = &Host::parallelFor;
  options.parallel_for_context = &host;
  nysjit_context_destroy(context);
  ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  FakeCall call(2, 2, 5);
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_TRUE(call.isRight(0.25f));
  EXPECT_EQ(host.calls, 2u); // two launches of 4 programs
  EXPECT_EQ(host.tasks, 6u); // on 3 threads each
}

TEST_F(Run, a_host_that_runs_no_task_is_an_error) {
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.compiler = FAKE_WORKER;
  options.cache_dir = "";
  options.threads = 2;
  options.parallel_for = [](void *, nysjit_task, void *, size_t) {};
  nysjit_context_destroy(context);
  ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  FakeCall call(2, 2, 5);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_IO);
}

TEST_F(Run, an_exception_of_the_hosts_is_a_status) {
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.compiler = FAKE_WORKER;
  options.cache_dir = "";
  options.threads = 2;
  options.parallel_for = [](void *, nysjit_task, void *, size_t) { throw 1; };
  nysjit_context_destroy(context);
  ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  FakeCall call(2, 2, 5);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INTERNAL);
}

TEST_F(Run, a_program_outlives_its_context) {
  nysjit_context_destroy(context);
  context = nullptr;
  FakeCall call(2, 2, 5);
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  EXPECT_TRUE(call.isRight(0.25f));
}

#ifndef __SANITIZE_THREAD__ // it does not follow a fork of several threads
TEST_F(Run, a_forked_child_runs_with_threads_of_its_own) {
  createContext(FAKE_WORKER, 3);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  FakeCall call(2, 2, 5);
  // the parent's pool is running now
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK);
  const pid_t child = fork();
  if (child == 0) {
    FakeCall inChild(2, 3, 6);
    const bool ok = nysjit_run(program, &inChild.args, nullptr) == NYSJIT_OK &&
                    inChild.isRight(0.25f) &&
                    prepare(R"({"layout":"exact_causal","head_dim":24})") == NYSJIT_OK;
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(prepare(R"({"layout":"exact_causal","head_dim":32})"), NYSJIT_OK)
      << nysjit_last_error(); // the parent's worker lives
}
#endif

} // namespace
} // namespace nysjit
