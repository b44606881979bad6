// Preparing programs: memory, disk, compile; a worker that dies, hangs or lies; many processes that
// want one program.
#include "tests/runtime/fake_program.h"

#include <chrono>
#include <csignal>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nysjit {
namespace {

class Prepare : public FakeRuntime {
protected:
  std::string entryFile() {
    for (const auto &file : std::filesystem::directory_iterator(folder / "cache"))
      if (file.path().extension() == ".nysjit")
        return file.path();
    return "";
  }
  nysjit_status failWith(const std::string &mode) {
    const ScopedSetting setting("FAKE_WORKER_MODE", mode);
    createContext(FAKE_WORKER, 1);
    return prepare();
  }
  std::string message() { return nysjit_last_error(); }
};

TEST_F(Prepare, compiles_then_finds_it_in_memory_then_on_disk) {
  ASSERT_EQ(prepare(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().cache, "compiled");
  EXPECT_GT(info().compile_ms, 0);
  EXPECT_STREQ(info().stages_ms_json, R"({"fake":1.5})");
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "memory");
  createContext(FAKE_WORKER, 1);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "disk");
  EXPECT_EQ(info().compile_ms, 0);
  EXPECT_STREQ(info().stages_ms_json, "{}");
  EXPECT_EQ(compiles(), 1u);
}

TEST_F(Prepare, equal_specs_are_one_program_and_other_specs_are_not) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  ASSERT_EQ(prepare(R"({ "head_dim" : 16, "dtype":"float32", "layout":"exact_causal", )"
                    R"("schema":1 })"),
            NYSJIT_OK)
      << message();
  EXPECT_EQ(compiles(), 1u);
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_OK);
  EXPECT_EQ(compiles(), 2u);
}

TEST_F(Prepare, info_has_the_plan_and_the_object) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_EQ(std::string(static_cast<const char *>(info().object), info().object_size),
            readAll(FAKE_KERNELS));
  EXPECT_NE(std::string(info().plan_json).find("\"scaled_copy\""), std::string::npos);
  EXPECT_EQ(info().scratch_bytes_per_thread, 2048u);
  EXPECT_EQ(std::string(info().key).size(), 32u);
  EXPECT_STREQ(info().target, "cpu:x86-64-v3");
}

TEST_F(Prepare, a_damaged_entry_is_compiled_again_and_replaced) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  const std::string file = entryFile();
  const std::string whole = readAll(file);
  ASSERT_FALSE(whole.empty());
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 4);
  size_t expected = 1;
  for (const std::string &damage :
       {std::string(), whole.substr(0, whole.size() - 1), flipped, whole + "x"}) {
    writeAll(file, damage);
    createContext(FAKE_WORKER, 1);
    ASSERT_EQ(prepare(), NYSJIT_OK) << message();
    EXPECT_STREQ(info().cache, "compiled");
    EXPECT_EQ(compiles(), ++expected);
    EXPECT_TRUE(readAll(file) == whole);
  }
}

TEST_F(Prepare, a_disk_hit_needs_no_compiler) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  createContext(folder / "no/such/compiler", 1);
  ASSERT_EQ(prepare(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().cache, "disk");
}

TEST_F(Prepare, without_compiler_and_entry_it_says_where_it_looked) {
  createContext(folder / "no/such/compiler", 1);
  EXPECT_EQ(prepare(), NYSJIT_UNAVAILABLE);
  EXPECT_NE(message().find("no/such/compiler"), std::string::npos) << message();
}

TEST_F(Prepare, without_a_cache_folder_it_compiles_each_time) {
  const ScopedSetting setting("NYSJIT_CACHE_DIR", "/proc/none");
  for (const char *cache : {static_cast<const char *>(nullptr), "", "/proc/none"}) {
    nysjit_context_destroy(context);
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = cache;
    options.compiler = FAKE_WORKER;
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
    ASSERT_EQ(prepare(), NYSJIT_OK) << message();
    EXPECT_STREQ(info().cache, "compiled");
  }
  EXPECT_EQ(compiles(), 3u);
}

TEST_F(Prepare, twelve_processes_compile_one_program_once) {
  nysjit_context_destroy(context);
  context = nullptr;
  const ScopedSetting slow("FAKE_WORKER_MODE", "sleep-200");
  std::vector<pid_t> children;
  for (int i = 0; i < 12; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      createContext(FAKE_WORKER, 1);
      FakeCall call(1, 1, 3);
      const bool ok = prepare() == NYSJIT_OK &&
                      nysjit_run(program, &call.args, nullptr) == NYSJIT_OK && call.isRight(0.25f);
      nysjit_context_destroy(context); // ends the worker
      _exit(ok ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(compiles(), 1u);
}

TEST_F(Prepare, eight_threads_compile_one_program_once) {
  const ScopedSetting slow("FAKE_WORKER_MODE", "sleep-100");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      nysjit_program *mine = nullptr;
      EXPECT_EQ(nysjit_prepare(context, fakeSpec(), nullptr, "cpu:x86-64-v3", &mine), NYSJIT_OK)
          << nysjit_last_error();
      nysjit_program_release(mine);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(compiles(), 1u);
}

TEST_F(Prepare, the_worker_is_kept_for_the_next_compile) {
  const ScopedSetting setting("FAKE_WORKER_PID", folder / "pids");
  ASSERT_EQ(prepare(), NYSJIT_OK);
  ASSERT_EQ(prepare(R"({"layout":"exact_causal","head_dim":32})"), NYSJIT_OK);
  const std::string pids = readAll(folder / "pids");
  EXPECT_EQ(std::count(pids.begin(), pids.end(), '\n'), 1);
}

TEST_F(Prepare, a_worker_killed_in_mid_compile_is_replaced) {
  const ScopedSetting pid("FAKE_WORKER_PID", folder / "pids");
  const ScopedSetting slow("FAKE_WORKER_MODE", "sleep-300");
  std::thread killer([&] {
    while (compiles() == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kill(std::stoi(readAll(folder / "pids")), SIGKILL);
  });
  EXPECT_EQ(prepare(), NYSJIT_OK) << message();
  killer.join();
  EXPECT_EQ(compiles(), 2u);
}

TEST_F(Prepare, a_worker_killed_while_idle_is_replaced) {
  const ScopedSetting pid("FAKE_WORKER_PID", folder / "pids");
  ASSERT_EQ(prepare(), NYSJIT_OK);
  kill(std::stoi(readAll(folder / "pids")), SIGKILL);
  EXPECT_EQ(prepare(R"({"layout":"exact_causal","head_dim":32})"), NYSJIT_OK) << message();
}

TEST_F(Prepare, a_worker_that_dies_once_costs_a_retry) {
  EXPECT_EQ(failWith("once-" + (folder / "died")), NYSJIT_OK) << message();
  EXPECT_EQ(compiles(), 2u);
}

TEST_F(Prepare, a_worker_that_aborts_twice_is_an_error_with_its_last_words) {
  EXPECT_EQ(failWith("abort"), NYSJIT_COMPILE_FAILED);
  EXPECT_NE(message().find("signal 6"), std::string::npos) << message();
  EXPECT_NE(message().find("LLVM ERROR: out of patience"), std::string::npos) << message();
  EXPECT_EQ(compiles(), 2u);
}

TEST_F(Prepare, a_worker_that_dies_at_once_keeps_its_last_words) {
  writeAll(folder / "compiler", "#!/bin/sh\necho I never began >&2\nexit 1\n");
  chmod((folder / "compiler").c_str(), 0700);
  for (int i = 0; i < 30; ++i) { // whoever is first, it or its request
    createContext(folder / "compiler", 1);
    EXPECT_EQ(prepare(), NYSJIT_COMPILE_FAILED);
    ASSERT_NE(message().find("I never began"), std::string::npos) << message();
  }
}

TEST_F(Prepare, a_worker_that_exits_is_an_error_with_its_status) {
  EXPECT_EQ(failWith("exit"), NYSJIT_COMPILE_FAILED);
  EXPECT_NE(message().find("exited with status 3"), std::string::npos) << message();
}

TEST_F(Prepare, a_worker_that_hangs_is_stopped) {
  const ScopedSetting limit("NYSJIT_COMPILE_TIMEOUT_MS", "200");
  EXPECT_EQ(failWith("hang"), NYSJIT_COMPILE_FAILED);
  EXPECT_NE(message().find("within 200 ms"), std::string::npos) << message();
  EXPECT_EQ(compiles(), 1u); // asking again would only take as long again
}

TEST_F(Prepare, nonsense_from_the_worker_is_an_error) {
  for (const char *mode : {"garbage", "no-blobs", "bad-plan", "bad-object", "odd-status"}) {
    EXPECT_EQ(failWith(mode), NYSJIT_COMPILE_FAILED) << mode << ": " << message();
    EXPECT_EQ(entryFile(), "") << mode; // and never reaches the cache
  }
}

TEST_F(Prepare, the_compilers_refusal_keeps_its_kind) {
  EXPECT_EQ(failWith("refuse"), NYSJIT_INVALID_KEY);
  EXPECT_EQ(message(), "nonsense: expected a kernel of causal, found 'nonsense'");
}

TEST_F(Prepare, a_file_that_is_no_program_cannot_be_started) {
  writeAll(folder / "compiler", "not a program");
  chmod((folder / "compiler").c_str(), 0700);
  createContext(folder / "compiler", 1);
  const nysjit_status status = prepare();
  EXPECT_TRUE(status == NYSJIT_IO || status == NYSJIT_UNAVAILABLE ||
              status == NYSJIT_COMPILE_FAILED)
      << message();
}

TEST_F(Prepare, no_zombie_is_left) {
  EXPECT_EQ(failWith("abort"), NYSJIT_COMPILE_FAILED);
  createContext(FAKE_WORKER, 1);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  nysjit_context_destroy(context);
  context = nullptr;
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1); // no child, dead or alive
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Prepare, a_process_that_cannot_be_waited_for_is_no_harm) {
  signal(SIGCHLD, SIG_IGN); // the system reaps
  EXPECT_EQ(failWith("abort"), NYSJIT_COMPILE_FAILED);
  EXPECT_EQ(failWith(""), NYSJIT_OK) << message();
  signal(SIGCHLD, SIG_DFL);
}

} // namespace
} // namespace nysjit
