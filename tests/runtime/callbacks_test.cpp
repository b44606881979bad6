// The host's callbacks: log, progress with its cancellation, and memory.
#include "tests/runtime/fake_program.h"

#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <mutex>
#include <set>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace nysjit {
namespace {

/// What a host sees, and how it answers.
struct Seen {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::set<std::string> stages;
  std::set<std::thread::id> threads; // that progress came on
  double lastMs = 0;
  int calls = 0;
  int cancelAt = -1; // the call that says no
  std::atomic<int> blocks{0};
  std::atomic<int> allocations{0};
  std::atomic<bool> isEmpty{false};

  static void log(void *self, const char *line) {
    Seen &seen = *static_cast<Seen *>(self);
    const std::lock_guard lock(seen.mutex);
    seen.lines.emplace_back(line);
  }
  static int32_t progress(void *self, const char *stage, double ms) {
    Seen &seen = *static_cast<Seen *>(self);
    const std::lock_guard lock(seen.mutex);
    seen.stages.insert(stage);
    seen.threads.insert(std::this_thread::get_id());
    EXPECT_GE(ms, seen.lastMs);
    seen.lastMs = ms;
    return seen.calls++ == seen.cancelAt;
  }
  static void *allocate(void *self, size_t bytes, size_t alignment) {
    Seen &seen = *static_cast<Seen *>(self);
    EXPECT_GT(bytes, 0u);
    EXPECT_EQ(alignment, 64u);
    if (seen.isEmpty)
      return nullptr;
    ++seen.blocks;
    ++seen.allocations;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  static void release(void *self, void *memory, size_t bytes) {
    EXPECT_GT(bytes, 0u);
    --static_cast<Seen *>(self)->blocks;
    std::free(memory);
  }
};

class Callbacks : public FakeRuntime {
protected:
  void SetUp() override {}
  void make(const std::string &cache, uint32_t threads = 2) {
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = cache.c_str();
    options.compiler = FAKE_WORKER;
    options.threads = threads;
    options.callback_context = &seen;
    options.log = &Seen::log;
    options.progress = &Seen::progress;
    options.allocate = &Seen::allocate;
    options.release = &Seen::release;
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  Seen seen;
};

TEST_F(Callbacks, a_worker_that_is_started_again_is_a_line) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "once-" + (folder / "died"));
  make(folder / "cache");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  ASSERT_EQ(seen.lines.size(), 1u);
  EXPECT_NE(seen.lines[0].find("started again after it was killed by signal 9"), std::string::npos)
      << seen.lines[0];
}

TEST_F(Callbacks, an_entry_that_cannot_be_kept_is_a_line) {
  make("/proc/none");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  ASSERT_EQ(seen.lines.size(), 1u);
  EXPECT_NE(seen.lines[0].find("/proc/none"), std::string::npos) << seen.lines[0];
}

TEST_F(Callbacks, progress_comes_on_the_calling_thread_while_a_compile_lasts) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "sleep-700");
  make(folder / "cache");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(seen.stages, std::set<std::string>{"compile"});
  EXPECT_EQ(seen.threads, std::set{std::this_thread::get_id()});
  const int calls = seen.calls;
  EXPECT_GE(calls, 1);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_EQ(seen.calls, calls); // none on a hit
}

TEST_F(Callbacks, a_compile_is_cancelled_and_the_next_one_works) {
  make(folder / "cache");
  {
    const ScopedSetting mode("FAKE_WORKER_MODE", "hang");
    seen.cancelAt = 1;
    EXPECT_EQ(prepare(), NYSJIT_CANCELLED);
    EXPECT_STREQ(nysjit_last_error(), "compile: the host cancelled it");
    EXPECT_STREQ(nysjit_status_name(NYSJIT_CANCELLED), "cancelled");
    EXPECT_EQ(seen.calls, 2);
  }
  EXPECT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
}

TEST_F(Callbacks, a_wait_for_another_process_is_cancelled) {
  make(folder / "cache");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  // Another process at work on the same entry: it holds the lock, and the entry is not there.
  const std::string lock = folder / "cache" + "/" + info().key + ".lock";
  const int file = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(flock(file, LOCK_EX), 0);
  unlink((folder / "cache" + "/" + info().key + ".nysjit").c_str());
  nysjit_context_destroy(context);
  make(folder / "cache");
  seen.cancelAt = seen.calls + 1;
  EXPECT_EQ(prepare(), NYSJIT_CANCELLED) << nysjit_last_error();
  EXPECT_EQ(seen.stages, std::set<std::string>{"wait"});
  close(file);
}

TEST_F(Callbacks, a_wait_for_another_thread_is_cancelled_and_that_one_goes_on) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "sleep-1500");
  struct Wait { // only who waits says no
    static int32_t no(void *, const char *stage, double) { return std::string(stage) == "wait"; }
  };
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.cache_dir = "";
  options.compiler = FAKE_WORKER;
  options.progress = &Wait::no;
  ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  std::thread first([&] {
    nysjit_program *mine = nullptr;
    EXPECT_EQ(nysjit_prepare(context, fakeSpec(), nullptr, "cpu:x86-64-v3", &mine), NYSJIT_OK)
        << nysjit_last_error();
    nysjit_program_release(mine);
  });
  while (compiles() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(prepare(), NYSJIT_CANCELLED);
  EXPECT_EQ(prepare(R"({"layout":"exact_causal","head_dim":32})"), NYSJIT_CANCELLED);
  first.join();
  EXPECT_EQ(compiles(), 1u);
}

TEST_F(Callbacks, runs_take_the_hosts_memory_and_give_all_of_it_back) {
  make(folder / "cache");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  for (const int64_t n : {1, 40, 9}) {
    FakeCall call(2, 3, n);
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
    EXPECT_TRUE(call.isRight(0.25f)) << n;
  }
  EXPECT_EQ(seen.allocations, 3);
  EXPECT_EQ(seen.blocks, 0);
}

TEST_F(Callbacks, without_the_hosts_memory_a_run_is_an_error) {
  make(folder / "cache");
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  FakeCall call(2, 3, 9);
  seen.isEmpty = true;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_IO);
  seen.isEmpty = false;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
}

TEST_F(Callbacks, allocate_without_release_is_refused) {
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.allocate = &Seen::allocate;
  EXPECT_EQ(nysjit_context_create(&options, &context), NYSJIT_INVALID_ARGUMENT);
  EXPECT_NE(std::string(nysjit_last_error()).find("options.release"), std::string::npos);
}

} // namespace
} // namespace nysjit
