// A run like one before it allocates nothing and makes no system call but futex. malloc is this
// file's.
#include "tests/runtime/fake_program.h"
#include "tests/runtime/in_child.h"
#include "tests/runtime/other_threads.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace {
std::atomic<size_t> allocations{0}; // by all threads
}

extern "C" {
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void *realloc(void *block, size_t bytes) {
  ++allocations;
  return __libc_realloc(block, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
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

INSTANTIATE_TEST_SUITE_P(Threads, WarmRun, testing::Values(1u, 2u, 8u, 0u),
                         [](const auto &threads) {
                           return threads.param ? std::to_string(threads.param)
                                                : std::string("parallel_for");
                         });

} // namespace
} // namespace nysjit
