// Every allocation of every call fails once, and then all from it on: a status comes of it, never
// the process's end; nothing is lost, and the next call works. The allocator under test is this
// executable's malloc.
#include "tests/runtime/calibrated.h"
#include "tests/runtime/fake_program.h"
#include "tests/runtime/sandbox.h"

#include <atomic>
#include <cerrno>
#include <dirent.h>
#include <functional>
#include <thread>

extern "C" {
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);
}

namespace {

std::atomic<int64_t> left{INT64_MAX}; // allocations until one fails
std::atomic<bool> isForGood{false};   // all after it fail, too
std::atomic<bool> hasFailed{false};
std::atomic<int64_t> live{0}; // blocks

[[maybe_unused]] bool fails() {
  const int64_t now = left.load(std::memory_order_relaxed);
  if (now == INT64_MAX)
    return false;
  const bool isNow = isForGood ? left.fetch_sub(1) <= 0 : left.fetch_sub(1) == 0;
  if (isNow) {
    hasFailed = true;
    errno = ENOMEM;
  }
  return isNow;
}

[[maybe_unused]] void *counted(void *block) {
  live += block != nullptr;
  return block;
}

} // namespace

#ifndef NYSJIT_SANITIZED // a sanitizer has a malloc of its own
extern "C" {
void *malloc(size_t bytes) { return fails() ? nullptr : counted(__libc_malloc(bytes)); }
void *calloc(size_t count, size_t bytes) {
  return fails() ? nullptr : counted(__libc_calloc(count, bytes));
}
void *realloc(void *block, size_t bytes) {
  if (fails())
    return nullptr;
  void *moved = __libc_realloc(block, bytes);
  live += !block && moved;
  return moved;
}
void *memalign(size_t alignment, size_t bytes) {
  return fails() ? nullptr : counted(__libc_memalign(alignment, bytes));
}
void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void **block, size_t alignment, size_t bytes) {
  *block = memalign(alignment, bytes);
  return *block ? 0 : ENOMEM;
}
void free(void *block) {
  live -= block != nullptr;
  __libc_free(block);
}
}
#endif

namespace nysjit {
namespace {

size_t openFiles() {
  size_t count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder && readdir(folder))
    ++count;
  closedir(folder);
  return count;
}

class MemoryFaults : public FakeRuntime, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
#ifdef NYSJIT_SANITIZED
    GTEST_SKIP() << "the sanitizer has a malloc of its own";
#endif
    FakeRuntime::SetUp();
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error(); // the entry is on disk
  }

  /// `call` until none of its allocations fails, and after each the state of before.
  void failEach(const std::function<nysjit_status()> &before,
                const std::function<nysjit_status()> &call, const std::function<void()> &after,
                nysjit_status expected = NYSJIT_OK, int64_t first = 0, int64_t step = 1) {
    const auto once = [&](int64_t number) {
      EXPECT_EQ(before(), NYSJIT_OK) << nysjit_last_error();
      hasFailed = false;
      isForGood = GetParam();
      left = number;
      const nysjit_status status = call();
      left = INT64_MAX;
      const bool isOver = !hasFailed;
      if (isOver || status != NYSJIT_IO) {
        EXPECT_EQ(status, expected) << nysjit_last_error() << " at " << number;
      } else {
        EXPECT_STRNE(nysjit_last_error(), "") << number;
        EXPECT_STRNE(nysjit_last_error_json(), "{}") << number;
      }
      after();
      return isOver;
    };
    once(INT64_MAX - 1); // what the C library keeps for good
    const size_t files = openFiles();
    const int64_t blocks = live;
    int64_t number = first;
    while (!once(number) && !HasFailure()) {
      ASSERT_EQ(openFiles(), files) << "a file was left open at " << number;
      if (areBlocksCounted)
        EXPECT_EQ(live, blocks) << "blocks were lost at " << number;
      number += step;
    }
    EXPECT_GE(number, first);
    RecordProperty("allocations", std::to_string(number));
  }
  void failEach(const std::function<nysjit_status()> &call, nysjit_status expected = NYSJIT_OK) {
    failEach([] { return NYSJIT_OK; }, call, [] {}, expected);
  }

  bool areBlocksCounted = true;
  nysjit_context *made = nullptr;
  nysjit_program *found = nullptr;
  const std::string cache = folder / "cache";
  const std::string none = "";

  nysjit_status create(const std::string &where, const char *device = "cpu") {
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = where.c_str();
    options.compiler = FAKE_WORKER;
    options.threads = 2;
    options.device = device;
    return nysjit_context_create(&options, &made);
  }
  nysjit_status find(const char *spec = fakeSpec()) {
    return nysjit_prepare(made, spec, nullptr, "cpu:x86-64-v3", &found);
  }
  void release() {
    nysjit_program_release(found);
    nysjit_context_destroy(made);
    found = nullptr;
    made = nullptr;
  }
};

TEST_P(MemoryFaults, context_create) {
  failEach([] { return NYSJIT_OK; }, [&] { return create(cache); }, [&] { release(); });
}

// In a process of its own each: the library stays loaded.
TEST_P(MemoryFaults, the_emulators_library_is_looked_for_and_loaded) {
  bool isOver = false;
  int refused = 0;
  for (int64_t number = 0; !isOver && !HasFailure(); number += number < 100 ? 1 : 13) {
    const std::string said = inProcess([&]() -> std::string {
      if (create(cache, "ptx-emulator") != NYSJIT_OK)
        return nysjit_last_error();
      isForGood = GetParam();
      left = number;
      const nysjit_status status = nysjit_prepare(made, fakeSpec(), nullptr, nullptr, &found);
      left = INT64_MAX;
      if (!hasFailed)
        return status == NYSJIT_OK ? "over" : std::string("over: ") + nysjit_last_error();
      return status == NYSJIT_OK   ? ""
             : status == NYSJIT_IO ? "refused"
                                   : std::to_string(status) + nysjit_last_error();
    });
    isOver = said == "over";
    refused += said == "refused";
    EXPECT_TRUE(isOver || said.empty() || said == "refused") << number << ": " << said;
  }
  EXPECT_GT(refused, 0);
}

TEST_P(MemoryFaults, prepare_from_memory) {
  nysjit_program *kept = nullptr;
  failEach(
      [&]() -> nysjit_status {
        const nysjit_status status = create(cache);
        return status ? status : nysjit_prepare(made, fakeSpec(), nullptr, "cpu:x86-64-v3", &kept);
      },
      [&] { return find(); },
      [&] {
        nysjit_program_release(kept);
        release();
      });
}

TEST_P(MemoryFaults, prepare_from_disk) {
  failEach([&] { return create(cache); }, [&] { return find(); }, [&] { release(); });
}

TEST_P(MemoryFaults, prepare_by_compiling) {
  failEach([&] { return create(none); }, [&] { return find(); }, [&] { release(); });
}

TEST_P(MemoryFaults, a_wrong_spec) {
  failEach([&] { return create(cache); },
           [&] { return find(R"({"layout":"exact_causal","head_dim":"sixteen"})"); },
           [&] { release(); }, NYSJIT_INVALID_KEY);
}

TEST_P(MemoryFaults, a_spec_that_is_no_json) {
  failEach([&] { return create(cache); }, [&] { return find(R"({"layout":[[{"a":[1,{)"); },
           [&] { release(); }, NYSJIT_INVALID_JSON);
}

TEST_P(MemoryFaults, program_info) {
  nysjit_program_info filled = {};
  filled.size = sizeof filled;
  failEach([&] { return nysjit_program_get_info(program, &filled); });
}

TEST_P(MemoryFaults, workspace_size) {
  FakeCall call(2, 2, 9);
  size_t bytes = 0;
  failEach([&] { return nysjit_workspace_size(program, &call.args, &bytes); });
}

TEST_P(MemoryFaults, run_in_a_new_thread) {
  FakeCall call(2, 2, 9);
  const auto inNewThread = [&] {
    nysjit_status status = NYSJIT_OK;
    const int64_t number = left.exchange(INT64_MAX);
    std::thread thread([&] {
      left = number;
      status = nysjit_run(program, &call.args, nullptr);
      left = INT64_MAX;
      if (status != NYSJIT_OK) {
        EXPECT_EQ(status, NYSJIT_IO);
        EXPECT_STRNE(nysjit_last_error(), "");
      }
    });
    thread.join();
    return status == NYSJIT_OK || hasFailed ? NYSJIT_OK : status;
  };
  for (const uint32_t threads : {1, 2}) {
    createContext(FAKE_WORKER, threads);
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
    areBlocksCounted = threads == 1; // the pool's threads keep their scratch
    failEach(inNewThread);
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
    EXPECT_TRUE(call.isRight(0.25f));
  }
}

TEST_P(MemoryFaults, a_wrong_tensor) {
  FakeCall call(2, 2, 9);
  call.k.tensor.dtype = {kDLInt, 8, 1};
  failEach([&] { return nysjit_run(program, &call.args, nullptr); }, NYSJIT_INVALID_SHAPE);
}

TEST_P(MemoryFaults, calibrate) {
  const auto q = denseQueries(2, 9);
  Floats probes({queryHeads, probeCount, probeSize});
  const nysjit_run_args run = runOf(q->tensor);
  const nysjit_run_args *const runs[] = {&run};
  nysjit_calibrate_args args = {};
  args.size = sizeof args;
  args.runs = runs;
  args.run_count = 1;
  args.probes = &probes.tensor;
  const std::string spec = probeSpec();
  // The thread's last error has its memory from here on.
  EXPECT_EQ(nysjit_calibrate(nullptr, spec.c_str(), &args), NYSJIT_INVALID_ARGUMENT);
  for (const uint32_t threads : {1, 2}) {
    createContext(FAKE_WORKER, threads);
    areBlocksCounted = threads == 1; // the pool's threads keep their scratch
    failEach([&] { return nysjit_calibrate(context, spec.c_str(), &args); });
  }
}

TEST_P(MemoryFaults, prepare_and_run_on_a_gpu) {
  const ScopedSetting driver("NYSJIT_CUDA_DRIVER", FAKE_DRIVER);
  const ScopedSetting noTool("NYSJIT_PTXAS", "none");
  FakeCall call(1, 2, 5);
  for (FakeTensor *tensor : {&call.q, &call.k, &call.v, &call.o})
    tensor->tensor.device = {kDLCUDA, 0};
  const auto prepareAndRun = [&] {
    const nysjit_status status = nysjit_prepare(made, fakeSpec(), nullptr, "cuda:sm_80", &found);
    return status ? status : nysjit_run(found, &call.args, nullptr);
  };
  ASSERT_EQ(create(cache, "cuda"), NYSJIT_OK);
  ASSERT_EQ(prepareAndRun(), NYSJIT_OK) << nysjit_last_error(); // the entry is on disk
  release();
  areBlocksCounted = false; // the fake driver has blocks of its own
  failEach([&] { return create(cache, "cuda"); }, prepareAndRun, [&] { release(); });
}

INSTANTIATE_TEST_SUITE_P(Each, MemoryFaults, testing::Values(false, true),
                         [](const auto &info) { return info.param ? "AllFromOneOn" : "OneEach"; });

} // namespace
} // namespace nysjit
