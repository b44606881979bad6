// Limits and sandboxes: a status each, never a signal, and the system's own word for what is
// lacking. Cold, with a compile, and warm, from the cache.
#include "tests/runtime/fake_program.h"
#include "tests/runtime/sandbox.h"

#include <atomic>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <thread>
#include <utility>

namespace nysjit {
namespace {

class Limits : public FakeRuntime {
protected:
  void SetUp() override {}

  /// Prepares and runs under what `confine` sets up. "" or the error's message; what is no status
  /// of its kind says so.
  std::string under(const std::function<bool()> &confine, bool isWarm) {
    std::filesystem::remove_all(folder / "cache");
    if (isWarm)
      EXPECT_EQ(inProcess([&] { return attempt(); }), "");
    return inProcess([&]() -> std::string { return confine() ? attempt() : "not here"; });
  }
  std::string attempt() {
    createContext(FAKE_WORKER, 1);
    FakeCall call(2, 2, 9);
    nysjit_status status = prepare();
    if (status == NYSJIT_OK)
      status = nysjit_run(program, &call.args, nullptr);
    if (status == NYSJIT_OK)
      return call.isRight(0.25f) ? "" : "wrong values";
    const bool isKnown =
        status == NYSJIT_IO || status == NYSJIT_UNAVAILABLE || status == NYSJIT_COMPILE_FAILED;
    return std::string(isKnown ? "" : "wrong status: ") + nysjit_last_error();
  }
  static bool limit(int resource, rlim_t most) {
    const rlimit limits = {most, most};
    return setrlimit(static_cast<__rlimit_resource>(resource), &limits) == 0;
  }
  static bool isOneOf(const std::string &text, std::initializer_list<const char *> words) {
    for (const char *word : words)
      if (*word ? text.find(word) != std::string::npos : text.empty())
        return text.find("signal") == std::string::npos && text.find("wrong") == std::string::npos;
    return false;
  }
};

TEST_F(Limits, the_size_of_files) {
  for (const rlim_t bytes : {0, 100, 512, 1024, 4096, 16384, 65536}) {
    const auto confine = [&] { return limit(RLIMIT_FSIZE, bytes); };
    for (const bool isWarm : {true, false}) {
      const std::string said = under(confine, isWarm);
      EXPECT_TRUE(isOneOf(said, {"", "File too large"})) << bytes << ": " << said;
    }
  }
}

TEST_F(Limits, a_pending_or_handled_SIGXFSZ_stays_the_hosts) {
  static volatile sig_atomic_t came;
  const std::string said = under(
      [] {
        signal(SIGXFSZ, [](int) { came = 1; });
        return limit(RLIMIT_FSIZE, 100);
      },
      true);
  EXPECT_TRUE(isOneOf(said, {"File too large"})) << said;
  EXPECT_EQ(inProcess([&]() -> std::string {
              signal(SIGXFSZ, [](int) { came = 1; });
              limit(RLIMIT_FSIZE, 100);
              (void)attempt();
              return came ? "the host's handler was called" : "";
            }),
            "");
}

TEST_F(Limits, the_number_of_open_files) {
  for (const bool isWarm : {true, false})
    for (rlim_t files = 3; files < 24; ++files) {
      const std::string said = under(
          [&] {
            for (int file = 3; file < 199; ++file)
              close(file);
            return limit(RLIMIT_NOFILE, files);
          },
          isWarm);
      // The loader says it in its own words, the library in the system's.
      EXPECT_TRUE(isOneOf(said, {"", "Too many open files", "Invalid argument"}))
          << files << ": " << said;
      EXPECT_TRUE(said.find("worker") == std::string::npos ||
                  said.find("Invalid argument") == std::string::npos)
          << files << ": " << said;
    }
}

TEST_F(Limits, the_number_of_open_files_where_the_emulator_is_looked_for) {
  int refused = 0;
  for (rlim_t files = 0; files < 12; ++files) {
    const std::string said = inProcess([&]() -> std::string {
      for (int file = 3; file < 199; ++file)
        close(file);
      nysjit_context_options options = {};
      options.size = sizeof options;
      options.device = "ptx-emulator";
      nysjit_context *made = nullptr;
      if (nysjit_context_create(&options, &made) != NYSJIT_OK || !limit(RLIMIT_NOFILE, files))
        return "no context or no limit";
      const nysjit_status status = nysjit_prepare(made, fakeSpec(), nullptr, nullptr, &program);
      return status == NYSJIT_OK   ? ""
             : status == NYSJIT_IO ? nysjit_last_error()
                                   : std::to_string(status) + nysjit_last_error();
    });
    EXPECT_TRUE(isOneOf(said, {"", "Too many open files"})) << files << ": " << said;
    refused += !said.empty();
  }
  EXPECT_GT(refused, 0);
}

TEST_F(Limits, the_number_of_processes_and_threads) {
  const std::string said = under(
      [] {
        // Root is not held to it.
        return (getuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0)) &&
               limit(RLIMIT_NPROC, 1);
      },
      false);
  EXPECT_TRUE(
      isOneOf(said, {"", "Resource temporarily unavailable", "not here", "Permission denied"}))
      << said;
}

TEST_F(Limits, address_space_and_data) {
#ifdef NYSJIT_SANITIZED
  GTEST_SKIP() << "a sanitizer's shadow takes more";
#endif
  for (const int resource : {RLIMIT_AS, RLIMIT_DATA})
    for (const bool isWarm : {true, false})
      for (rlim_t bytes = 4 << 20; bytes <= rlim_t(256) << 20; bytes *= 2) {
        const std::string said = under([&] { return limit(resource, bytes); }, isWarm);
        EXPECT_TRUE(isOneOf(said, {"", "memory", "emory", "worker"})) << bytes << ": " << said;
      }
}

// One thread's runs go on, right or with a status, while the limit falls on the whole process and
// another thread prepares.
TEST_F(Limits, of_any_kind_while_another_thread_runs) {
#ifdef NYSJIT_SANITIZED
  GTEST_SKIP() << "a sanitizer's shadow takes more";
#endif
  const std::pair<int, rlim_t> kinds[] = {
      {RLIMIT_FSIZE, 100}, {RLIMIT_NOFILE, 12},       {RLIMIT_AS, 4 << 20}, {RLIMIT_DATA, 1 << 20},
      {RLIMIT_NPROC, 0},   {RLIMIT_STACK, 128 << 10}, {RLIMIT_MEMLOCK, 0},  {RLIMIT_CORE, 0}};
  for (const auto &[resource, most] : kinds)
    for (const bool isWarm : {true, false}) {
      std::filesystem::remove_all(folder / "cache");
      const std::string said = inProcess([&, resource = resource, most = most]() -> std::string {
        createContext(FAKE_WORKER, 2);
        if (prepare() != NYSJIT_OK)
          return nysjit_last_error();
        nysjit_program *ours = std::exchange(program, nullptr);
        if (!isWarm)
          std::filesystem::remove_all(folder / "cache");
        std::atomic<int> runs{0};
        std::atomic<bool> isOver{false};
        std::atomic<bool> isWrong{false};
        std::thread runner([&] {
          FakeCall call(2, 4, 9);
          while (!isOver || runs < 100) {
            const nysjit_status status = nysjit_run(ours, &call.args, nullptr);
            isWrong = isWrong || (status == NYSJIT_OK ? !call.isRight(0.25f) : status != NYSJIT_IO);
            ++runs;
          }
        });
        while (runs == 0)
          std::this_thread::yield();
        const std::string other = limit(resource, most) ? attempt() : "not here";
        isOver = true;
        runner.join();
        return isWrong ? "wrong run" : other.find("wrong") == std::string::npos ? "" : other;
      });
      EXPECT_EQ(said, "") << "limit " << resource << (isWarm ? ", warm" : ", cold");
    }
}

TEST_F(Limits, stack_locked_memory_and_core_files) {
  for (const int resource : {RLIMIT_STACK, RLIMIT_MEMLOCK, RLIMIT_CORE})
    for (const bool isWarm : {true, false})
      EXPECT_EQ(
          under([&] { return limit(resource, resource == RLIMIT_STACK ? 256 << 10 : 0); }, isWarm),
          "")
          << resource;
}

TEST_F(Limits, system_calls_that_are_not_there) {
  for (const int failure : {ENOSYS, EPERM})
    for (const bool isWarm : {true, false}) {
      const std::string said = under(
          [&] {
            return refuse(
                {SYS_memfd_create, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_close_range},
                failure);
          },
          isWarm);
      if (said == "not here")
        GTEST_SKIP() << "no seccomp";
      EXPECT_EQ(said, "") << std::strerror(failure);
    }
}

TEST_F(Limits, a_worker_without_memfd_still_has_last_words) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "abort");
  const std::string said = under([] { return refuse({SYS_memfd_create}, ENOSYS); }, false);
  if (said == "not here")
    GTEST_SKIP() << "no seccomp";
  EXPECT_NE(said.find("signal 6"), std::string::npos) << said;
  EXPECT_NE(said.find("out of patience"), std::string::npos) << said;
}

TEST_F(Limits, no_proc) {
  for (const bool isWarm : {true, false}) {
    const std::string said = under(
        [] {
          return unshare(CLONE_NEWNS | (getuid() == 0 ? 0 : CLONE_NEWUSER)) == 0 &&
                 mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                 mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
        },
        isWarm);
    if (said == "not here")
      GTEST_SKIP() << "no mounts of its own";
    EXPECT_EQ(said, "");
  }
}

TEST_F(Limits, nowhere_to_run_from_but_the_cache) {
  const std::string worker = FAKE_WORKER;
  for (const char *hidden : {"/var/tmp/", "/dev/shm/", "/tmp/"})
    if (worker.starts_with(hidden))
      GTEST_SKIP() << "the worker lies in a folder that would be hidden";
  for (const bool isWarm : {true, false}) {
    const std::string said = under(
        [&] {
          if (unshare(CLONE_NEWNS) != 0 || !refuse({SYS_memfd_create}, EPERM) ||
              mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
            return false;
          const std::string kept = folder / "kept";
          if (mkdir(kept.c_str(), 0700) != 0 && errno != EEXIST)
            return false;
          const int root = open(kept.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
          for (const char *place : {"/var/tmp", "/dev/shm", "/tmp"})
            if (mount("none", place, "tmpfs", MS_NOEXEC, nullptr) != 0)
              return false;
          return root >= 0;
        },
        false);
    if (said == "not here")
      GTEST_SKIP() << "no mounts of its own";
    // The cache was in /tmp, which is another now: a cache there cannot be run from either.
    EXPECT_TRUE(isOneOf(said, {"Operation not permitted"})) << said << isWarm;
  }
}

TEST_F(Limits, no_place_for_temporary_files) {
  const ScopedSetting place("TMPDIR", "/nowhere/at/all");
  EXPECT_EQ(under([] { return true; }, false), "");
}

} // namespace
} // namespace nysjit
