// A guest that does no harm: what the library does to the process that it is in, and what that may
// do to the library. Each situation in a process of its own.
#include "tests/runtime/fake_program.h"
#include "tests/runtime/sandbox.h"

#include <chrono>
#include <climits>
#include <clocale>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <thread>

namespace nysjit {
namespace {

class Host : public FakeRuntime {
protected:
  void SetUp() override {} // a context is the process's to make
  static const char *other() { return R"({"layout":"exact_causal","head_dim":32})"; }

  /// Makes a context and compiles; "" if that went well.
  std::string compiled(const char *spec = fakeSpec()) {
    if (!context)
      createContext(FAKE_WORKER, 2);
    return prepare(spec) == NYSJIT_OK ? "" : nysjit_last_error();
  }
  std::string ran() {
    FakeCall call(2, 2, 9);
    if (nysjit_run(program, &call.args, nullptr) != NYSJIT_OK)
      return nysjit_last_error();
    return call.isRight(0.25f) ? "" : "wrong values";
  }
  void destroy() {
    nysjit_program_release(program);
    nysjit_context_destroy(context);
    program = nullptr;
    context = nullptr;
  }
  /// The workers so far.
  std::vector<pid_t> workers() {
    std::vector<pid_t> list;
    std::ifstream file(folder / "pids");
    for (pid_t pid; file >> pid;)
      list.push_back(pid);
    return list;
  }
  static bool isGone(pid_t process) {
    for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
      if (kill(process, 0) != 0 && errno == ESRCH)
        return true;
    return false;
  }
  ScopedSetting pids{"FAKE_WORKER_PID", folder / "pids"};
};

TEST_F(Host, wait_does_not_see_the_worker) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              if (const std::string wrong = compiled(); !wrong.empty())
                return wrong;
              errno = 0;
              if (wait(nullptr) != -1 || errno != ECHILD)
                return "the host has a child";
              if (const std::string wrong = compiled(other()); !wrong.empty())
                return wrong;
              return workers().size() == 1 ? "" : "the worker was not kept";
            }),
            "");
}

TEST_F(Host, no_SIGCHLD_comes) {
  static volatile sig_atomic_t came;
  EXPECT_EQ(inProcess([&]() -> std::string {
              signal(SIGCHLD, [](int) { came = 1; });
              const std::string wrong = compiled();
              destroy();
              return wrong + (came ? "SIGCHLD came" : "");
            }),
            "");
}

TEST_F(Host, a_host_that_adopts_orphans_has_no_zombie_of_it) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              const std::string wrong = compiled();
              destroy();
              writeAll(folder / "compiler", "not a program");
              chmod((folder / "compiler").c_str(), 0700);
              createContext(folder / "compiler", 1);
              if (prepare(other()) == NYSJIT_OK)
                return "compiled by nothing";
              errno = 0;
              const bool isAlone = waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
              return wrong + (isAlone ? "" : "a child is left");
            }),
            "");
}

TEST_F(Host, may_be_the_first_process) {
  const std::string said = inProcess([&]() -> std::string {
    if (unshare(CLONE_NEWPID) != 0)
      return "not here";
    return inProcess([&]() -> std::string { // the first of the new namespace
      std::string wrong = compiled() + ran();
      destroy();
      return wrong + (waitpid(-1, nullptr, WNOHANG) == -1 ? "" : "a child is left");
    });
  });
  if (said == "not here")
    GTEST_SKIP() << "no process namespace of its own";
  EXPECT_EQ(said, "");
}

TEST_F(Host, an_idle_worker_goes_and_the_next_miss_starts_another) {
  const ScopedSetting idle("NYSJIT_WORKER_IDLE_MS", "20");
  EXPECT_EQ(compiled(), "");
  ASSERT_EQ(workers().size(), 1u);
  EXPECT_TRUE(isGone(workers()[0]));
  EXPECT_EQ(compiled(other()), "");
  EXPECT_EQ(workers().size(), 2u);
}

TEST_F(Host, a_wrong_idle_time_is_refused_by_name) {
  const ScopedSetting idle("NYSJIT_WORKER_IDLE_MS", "2s");
  EXPECT_NE(compiled().find("NYSJIT_WORKER_IDLE_MS"), std::string::npos);
}

TEST_F(Host, the_worker_ends_with_its_host_even_in_a_compile) {
  const ScopedSetting hang("FAKE_WORKER_MODE", "hang");
  const pid_t child = fork();
  if (child == 0) {
    (void)compiled();
    _exit(0);
  }
  while (compiles() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(isGone(workers().at(0)));
}

TEST_F(Host, a_hung_compile_ends_with_all_that_it_started) {
  const ScopedSetting hang("FAKE_WORKER_MODE", "hang-with-child");
  const ScopedSetting limit("NYSJIT_COMPILE_TIMEOUT_MS", "300");
  const std::string temporary = folder / "temporary";
  std::filesystem::create_directory(temporary);
  const ScopedSetting place("TMPDIR", temporary.c_str());
  EXPECT_NE(compiled().find("within 300 ms"), std::string::npos);
  ASSERT_EQ(workers().size(), 2u); // it and its child, in a session of its own
  for (const pid_t process : workers())
    EXPECT_TRUE(isGone(process));
  EXPECT_TRUE(std::filesystem::is_empty(temporary));
}

TEST_F(Host, may_close_files_that_it_does_not_know) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              std::string wrong = compiled() + ran();
              for (int file = 3; file < 200; ++file)
                close(file);
              // Its own under the same numbers.
              const std::string mine = folder / "mine";
              for (int file = 3; file < 60; ++file)
                if (open(mine.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600) < 0)
                  return "no file";
              wrong += ran() + compiled(other());
              destroy();
              for (int file = 3; file < 60; ++file)
                if (fcntl(file, F_GETFD) < 0)
                  wrong += " closed " + std::to_string(file);
              return wrong + readAll(mine);
            }),
            "");
}

TEST_F(Host, may_have_closed_its_standard_streams) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              for (int file = 0; file < 3; ++file)
                close(file);
              std::string wrong = compiled() + ran();
              for (int file = 0; file < 3; ++file)
                if (fcntl(file, F_GETFD) >= 0)
                  wrong += " the library stands at " + std::to_string(file);
              return wrong;
            }),
            "");
}

TEST_F(Host, may_block_all_signals) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              sigset_t all;
              sigset_t after;
              sigfillset(&all);
              pthread_sigmask(SIG_BLOCK, &all, &all);
              sigfillset(&all);
              pthread_sigmask(SIG_BLOCK, &all, nullptr);
              const std::string wrong = compiled() + ran();
              pthread_sigmask(SIG_BLOCK, nullptr, &after);
              return wrong + (sigismember(&after, SIGTERM) ? "" : "the mask has changed");
            }),
            "");
}

TEST_F(Host, may_go_to_another_folder) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              if (chdir(folder.path.c_str()) != 0 || symlink(FAKE_WORKER, "compiler") != 0)
                return "no folder";
              nysjit_context_options options = {};
              options.size = sizeof options;
              options.cache_dir = "cache";
              options.compiler = "./compiler";
              if (nysjit_context_create(&options, &context) != NYSJIT_OK || chdir("/") != 0)
                return nysjit_last_error();
              const std::string wrong = compiled();
              return wrong + (access((folder / "cache").c_str(), F_OK) == 0 ? "" : "no cache");
            }),
            "");
}

TEST_F(Host, may_have_any_umask) {
  EXPECT_EQ(inProcess([&]() -> std::string {
              umask(0777);
              return compiled() + ran();
            }),
            "");
}

TEST_F(Host, may_call_from_a_thread_with_64_KiB_of_stack) {
#ifdef NYSJIT_SANITIZED
  GTEST_SKIP() << "a sanitizer's code takes more";
#endif
  EXPECT_EQ(compiled(), ""); // the pool's threads are there
  destroy();
  struct Call {
    std::function<std::string()> body;
    std::string wrong;
  } call = {[this] { return compiled() + ran() + compiled(other()); }, ""};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 64 << 10), 0);
  pthread_t thread;
  const auto body = [](void *given) -> void * {
    Call &c = *static_cast<Call *>(given);
    c.wrong = c.body();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, &call), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(call.wrong, "");
}

TEST_F(Host, may_write_numbers_with_a_comma) {
  const std::string make = "localedef -i de_DE -f UTF-8 " + (folder / "de_DE.UTF-8");
  (void)!std::system((make + " > /dev/null 2>&1").c_str());
  const ScopedSetting place("LOCPATH", folder.path);
  if (!std::setlocale(LC_ALL, "de_DE.UTF-8"))
    GTEST_SKIP() << "no locale with a decimal comma can be made";
  EXPECT_STREQ(localeconv()->decimal_point, ",");
  const char *spec =
      R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":8,"stabilizer":0.125})";
  EXPECT_EQ(compiled(spec), "");
  EXPECT_NE(std::string(info().spec_json).find("\"stabilizer\":0.125"), std::string::npos)
      << info().spec_json;
  std::setlocale(LC_ALL, "C");
}

TEST_F(Host, may_fork_while_the_worker_lives) {
  EXPECT_EQ(compiled(), "");
  EXPECT_EQ(inProcess([&] {
              const std::string wrong = compiled(other()) + compiled() + ran();
              destroy();
              return wrong;
            }),
            "");
  EXPECT_EQ(compiled(R"({"layout":"exact_causal","head_dim":48})"), "");
  ASSERT_EQ(workers().size(), 2u); // the child had one of its own, and left this one alone
}

} // namespace
} // namespace nysjit
