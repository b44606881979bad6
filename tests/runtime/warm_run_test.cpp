// A run like one before it allocates nothing and makes no system call but futex; the first one may
// lack memory anywhere. malloc is this file's.
#include "tests/runtime/fake_program.h"
#include "tests/runtime/in_child.h"
#include "tests/runtime/other_threads.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace {
std::atomic<size_t> allocations{0};         // by all threads
std::atomic<size_t> firstRefused{SIZE_MAX}; // allocations from this one on
std::atomic<size_t> endRefused{SIZE_MAX};   // to before this one fail

/// Counts one; false if it is to fail.
bool isGranted() {
  const size_t number = allocations++;
  const bool isGranted = number < firstRefused || number >= endRefused;
  if (!isGranted)
    errno = ENOMEM; // pthread_create insists on it
  return isGranted;
}
} // namespace

extern "C" {
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) { return isGranted() ? __libc_malloc(bytes) : nullptr; }
void *calloc(size_t count, size_t bytes) {
  return isGranted() ? __libc_calloc(count, bytes) : nullptr;
}
void *realloc(void *block, size_t bytes) {
  return isGranted() ? __libc_realloc(block, bytes) : nullptr;
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  return isGranted() ? __libc_memalign(alignment, bytes) : nullptr;
}
void *memalign(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
int posix_memalign(void **block, size_t alignment, size_t bytes) {
  *block = aligned_alloc(alignment, bytes);
  return *block ? 0 : ENOMEM;
}
}

namespace nysjit {
namespace {

/// Each way to run: on the calling thread, on the library's threads, on the host's.
class WarmRun : public FakeRuntime, public testing::WithParamInterface<uint32_t> {
protected:
  void SetUp() override {
    nysjit_context_options options = {};
    const std::string cache = folder / "cache";
    options.size = sizeof options;
    options.cache_dir = cache.c_str();
    options.compiler = FAKE_WORKER;
    options.threads = GetParam() ? GetParam() : 3;
    if (GetParam() == 0)
      options.parallel_for = [](void *, nysjit_task task, void *context, size_t count) {
        for (size_t i = 0; i < count; ++i)
          task(context, i);
      };
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  }
  bool run(int times) {
    for (int i = 0; i < times; ++i)
      if (nysjit_run(program, &call.args, nullptr) != NYSJIT_OK)
        return false;
    return true;
  }
  FakeCall call{3, 4, 40};
};

TEST_P(WarmRun, allocates_nothing) {
  ASSERT_TRUE(run(1)) << nysjit_last_error();
  const size_t before = allocations;
  ASSERT_GT(before, 0u); // they are counted
  const bool isDone = run(500);
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_TRUE(isDone);
}

/// From now on, in all threads, another system call kills the process. False where the kernel
/// cannot.
bool allowOnlyFutex() {
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      allow,
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog program = {sizeof rules / sizeof *rules, rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

TEST_P(WarmRun, makes_no_system_call_but_futex) {
  constexpr int noSeccomp = 77;
  const int other = inChildStatus([] {
    if (!allowOnlyFutex())
      return noSeccomp;
    (void)getppid();
    return 0;
  });
  if (other == noSeccomp)
    GTEST_SKIP() << "the kernel takes no seccomp filter here";
  ASSERT_EQ(other, 128 + SIGSYS);
  EXPECT_EQ(inChildStatus([&] {
              if (!run(1) || !areOtherThreadsNamed() || !allowOnlyFutex())
                return 1;
              return run(500) ? 0 : 2;
            }),
            0);
}

/// The first run, with one allocation refused or with all from one on: 0 if it is right, 1 if it is
/// an error that left the output alone, 2 if it is neither; 3 if it was through before.
int firstRun(const std::function<nysjit_status()> &run, FakeCall &call, size_t refused, bool all) {
  const size_t before = allocations;
  endRefused = all ? SIZE_MAX : before + refused + 1;
  firstRefused = before + refused;
  const nysjit_status status = run();
  firstRefused = endRefused = SIZE_MAX;
  if (status == NYSJIT_OK)
    return !call.isRight(0.25f) ? 2 : allocations - before <= refused ? 3 : 0;
  const bool isUntouched = std::ranges::all_of(call.o.elements, [](float o) { return o == 0; });
  return status == NYSJIT_IO && isUntouched ? 1 : 2;
}

TEST_P(WarmRun, before_it_any_allocation_may_fail) {
  for (const bool all : {false, true}) {
    int status = 0;
    for (size_t refused = 0; status != 3; ++refused) {
      ASSERT_LT(refused, 1000u);
      status = inChildStatus([&] {
        return firstRun([&] { return nysjit_run(program, &call.args, nullptr); }, call, refused,
                        all);
      });
      EXPECT_NE(status, 2) << refused;
      ASSERT_LE(status, 3) << refused;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, WarmRun, testing::Values(1u, 2u, 8u, 0u),
                         [](const auto &threads) {
                           return threads.param ? std::to_string(threads.param)
                                                : std::string("parallel_for");
                         });

} // namespace
} // namespace nysjit
