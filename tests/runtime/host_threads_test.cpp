// What the library's threads are to their host: as many as can be made, deaf to its signals, named,
// on stacks of their own size, gone with the last program. pthread_create is this file's.
#include "runtime/device/thread_pool.h"
#include "tests/runtime/fake_program.h"
#include "tests/runtime/in_child.h"
#include "tests/runtime/other_threads.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <dlfcn.h>
#include <grp.h>
#include <set>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace {

std::atomic<int> threadsGranted{1 << 30}; // how many more pthread_create makes
std::atomic<size_t> lastStackBytes{0};    // of the attributes it was given; 0: none given

} // namespace

/// A library that a host links may have much of these; glibc takes them from threads' stacks.
thread_local char threadLocals[1 << 20];

extern "C" int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument) {
  if (threadsGranted.fetch_sub(1) <= 0)
    return EAGAIN;
  size_t bytes = 0;
  if (attributes)
    pthread_attr_getstacksize(attributes, &bytes);
  lastStackBytes = bytes;
  static const auto real =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, start, argument);
}

namespace nysjit {
namespace {

class HostThreads : public FakeRuntime {
protected:
  void SetUp() override {
    FakeRuntime::SetUp();
    createContext(FAKE_WORKER, 8);
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  }
  void TearDown() override {
    threadsGranted = 1 << 30;
    FakeRuntime::TearDown();
  }
  bool runIsRight() { return runIsRight(program); }
  static bool runIsRight(nysjit_program *program) {
    FakeCall call(3, 4, 9);
    return nysjit_run(program, &call.args, nullptr) == NYSJIT_OK && call.isRight(0.25f);
  }
  /// Gives the calling thread its memory, and starts no other.
  bool warmCallingThread() {
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = "";
    options.compiler = FAKE_WORKER;
    options.threads = 1;
    nysjit_context *alone = nullptr;
    nysjit_program *its = nullptr;
    const bool isDone =
        nysjit_context_create(&options, &alone) == NYSJIT_OK &&
        nysjit_prepare(alone, fakeSpec(), nullptr, "cpu:x86-64-v3", &its) == NYSJIT_OK &&
        runIsRight(its);
    nysjit_program_release(its);
    nysjit_context_destroy(alone);
    return isDone;
  }
};

TEST_F(HostThreads, a_run_goes_on_with_the_threads_there_are) {
  for (const int granted : {0, 1, 2, 3})
    EXPECT_EQ(inChild([&] {
                threadsGranted = granted;
                return runIsRight() && runIsRight();
              }),
              0)
        << granted;
}

TEST(ThreadPool, has_the_threads_that_could_be_made) {
  threadsGranted = 2;
  ThreadPool pool;
  pool.start(5);
  threadsGranted = 1 << 30;
  EXPECT_EQ(pool.size(), 2u);
}

TEST_F(HostThreads, a_run_goes_on_without_address_space) {
  EXPECT_EQ(inChild([&] {
              if (!warmCallingThread())
                return false;
              const size_t pages = std::stoul(readAll("/proc/self/statm"));
              const rlimit most = {pages * size_t(sysconf(_SC_PAGESIZE)), RLIM_INFINITY};
              return setrlimit(RLIMIT_AS, &most) == 0 && runIsRight() && runIsRight();
            }),
            0);
}

TEST_F(HostThreads, a_run_goes_on_where_the_user_may_have_no_more_threads) {
  constexpr int cannotTell = 77;
  const int status = inChildStatus([&] {
    // Root has no limit; it becomes nobody.
    if (getuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
      return cannotTell;
    const rlimit none = {0, 0};
    pthread_t thread;
    if (setrlimit(RLIMIT_NPROC, &none) != 0 ||
        pthread_create(&thread, nullptr, [](void *) -> void * { return nullptr; }, nullptr) == 0)
      return cannotTell;
    return runIsRight() && runIsRight() ? 0 : 1;
  });
  if (status == cannotTell)
    GTEST_SKIP() << "RLIMIT_NPROC does not hold here";
  EXPECT_EQ(status, 0);
}

TEST_F(HostThreads, a_signal_of_the_hosts_stays_the_hosts) {
  EXPECT_EQ(inChild([&] {
              if (!runIsRight())
                return false;
              sigset_t set;
              sigfillset(&set);
              sigprocmask(SIG_SETMASK, &set, nullptr);
              for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGPROF, SIGCHLD,
                                       SIGIO, SIGRTMIN, SIGRTMAX}) {
                kill(getpid(), signal);
                const timespec limit = {20, 0};
                sigset_t one;
                sigemptyset(&one);
                sigaddset(&one, signal);
                if (sigtimedwait(&one, nullptr, &limit) != signal)
                  return false;
              }
              return runIsRight();
            }),
            0);
}

TEST(ThreadPool, threads_block_all_signals_that_are_not_their_own) {
  ASSERT_TRUE(areOtherThreadsGone()); // those of tests before
  ThreadPool pool;
  sigset_t before = {};
  sigset_t after = {};
  sigprocmask(SIG_SETMASK, nullptr, &before);
  pool.start(2);
  sigprocmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
  ASSERT_TRUE(areOtherThreadsNamed());
  const std::vector<std::string> masks = otherThreads("SigBlk");
  ASSERT_EQ(masks.size(), 2u);
  for (const std::string &text : masks) {
    const uint64_t mask = std::stoull(text, nullptr, 16);
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      const bool isRaisedByCode = std::set{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}.count(
          signal); // a handler of the host's may want these
      const bool cannotBeBlocked = signal == SIGKILL || signal == SIGSTOP ||
                                   (signal >= 32 && signal < SIGRTMIN); // the C library's
      EXPECT_EQ(mask >> (signal - 1) & 1, !isRaisedByCode && !cannotBeBlocked) << signal;
    }
  }
}

TEST(ThreadPool, threads_have_names) {
  ASSERT_TRUE(areOtherThreadsGone());
  ThreadPool pool;
  pool.start(2);
  ASSERT_TRUE(areOtherThreadsNamed());
  std::vector<std::string> names = otherThreads("Name");
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"nysjit-1", "nysjit-2"}));
}

TEST(ThreadPool, stacks_are_modest_whatever_the_host_gives_its_threads) {
  threadLocals[0] = 1; // a MiB of them
  for (const size_t hosts : {size_t(1) << 26, size_t(2) << 20}) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, hosts);
    ASSERT_EQ(pthread_setattr_default_np(&attributes), 0); // as RLIMIT_STACK does at the start
    ThreadPool pool;
    pool.start(1);
    EXPECT_EQ(pool.size(), 1u);
    EXPECT_GE(lastStackBytes.load(), size_t(5) << 18);
    EXPECT_LE(lastStackBytes.load(), size_t(3) << 20);
    pthread_attr_destroy(&attributes);
  }
}

TEST_F(HostThreads, threads_end_with_the_last_program) {
  ASSERT_TRUE(runIsRight());
  nysjit_context_destroy(context);
  context = nullptr;
  ASSERT_TRUE(runIsRight());
  nysjit_program_release(program);
  program = nullptr;
  EXPECT_TRUE(areOtherThreadsGone());
}

TEST_F(HostThreads, a_child_forked_amid_runs_of_others_runs) {
  std::atomic<bool> isDone{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i)
    others.emplace_back([&] {
      FakeCall call(3, 4, 9);
      while (!isDone)
        nysjit_run(program, &call.args, nullptr);
    });
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(inChild([&] {
                // With threads of its own beside the parent's, and with the parent's alone.
                const bool isRight = i % 2 == 0 || (runIsRight() && runIsRight());
                nysjit_context_destroy(context);
                nysjit_program_release(program);
                return isRight;
              }),
              0);
  isDone = true;
  for (std::thread &other : others)
    other.join();
}

} // namespace
} // namespace nysjit
