// One compile a key, however many processes ask; a worker that dies costs an error or a retry and
// nothing else.
#include "tests/conformance/conformance.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

struct Folder {
  std::string path = testing::TempDir() + "nysjit-processes-" + std::to_string(getpid());
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

/// A context over `cache` whose compiler is `compiler`.
nysjit_context *contextOf(const std::string &cache, const std::string &compiler) {
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.cache_dir = cache.c_str();
  options.compiler = compiler.c_str();
  nysjit_context *context = nullptr;
  EXPECT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
  return context;
}

/// A script that runs `before` and then the real worker.
std::string wrapper(const Folder &folder, const std::string &before) {
  const std::string path = folder.path + "/compiler.sh";
  std::ofstream(path) << "#!/bin/sh\n"
                      << before << "\nexec " << NYSJIT_BINARY_DIR
                      << "/bin/nysjit-compiler \"$@\"\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

const char *const spec = R"({"layout": "causal", "head_dim": 16, "landmarks": 4, )"
                         R"("segment_len": 8})";

TEST(Processes, TwelveThatAskForOneNewKeyCompileItOnce) {
  Folder folder;
  const std::string compiler = wrapper(folder, "echo started >> " + folder.path + "/starts");
  std::vector<pid_t> children;
  for (int i = 0; i < 12; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      nysjit_context *context = contextOf(folder.path + "/cache", compiler);
      nysjit_program *program = nullptr;
      const bool ok =
          nysjit_prepare(context, spec, nullptr, "cpu:x86-64-v3", &program) == NYSJIT_OK;
      nysjit_program_info info = {};
      info.size = sizeof info;
      const bool compiledHere = ok && nysjit_program_get_info(program, &info) == NYSJIT_OK &&
                                std::string(info.cache) == "compiled";
      _exit(!ok ? 2 : compiledHere ? 1 : 0);
    }
    children.push_back(child);
  }
  int compiled = 0;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_NE(WEXITSTATUS(status), 2);
    compiled += WEXITSTATUS(status);
  }
  EXPECT_EQ(compiled, 1);
  std::ifstream starts(folder.path + "/starts");
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(starts), {}, '\n'), 1) << "workers started";
}

TEST(Processes, AWorkerKilledOnceIsTriedAgain) {
  Folder folder;
  // The first worker kills itself shortly after it started, in mid-compile; the second works.
  const std::string mark = folder.path + "/mark";
  const std::string compiler = wrapper(folder, "if [ ! -e " + mark + " ]; then touch " + mark +
                                                   "; (sleep 0.06; kill -9 $$) & fi");
  nysjit_context *context = contextOf("", compiler);
  nysjit_program *program = nullptr;
  EXPECT_EQ(nysjit_prepare(context, spec, nullptr, "cpu:x86-64-v3", &program), NYSJIT_OK)
      << nysjit_last_error();
  EXPECT_TRUE(std::filesystem::exists(mark));
  nysjit_program_release(program);
  nysjit_context_destroy(context);
}

TEST(Processes, AWorkerThatIsAlwaysKilledIsAnErrorAndTheNextCompileWorks) {
  Folder folder;
  const std::string mark = folder.path + "/healed";
  const std::string compiler = wrapper(folder, "if [ ! -e " + mark + " ]; then kill -9 $$; fi");
  nysjit_context *context = contextOf("", compiler);
  nysjit_program *program = nullptr;
  EXPECT_EQ(nysjit_prepare(context, spec, nullptr, "cpu:x86-64-v3", &program),
            NYSJIT_COMPILE_FAILED);
  // Killed before it could have anybody say how it ends.
  EXPECT_NE(std::string(nysjit_last_error()).find("two workers without one"), std::string::npos)
      << nysjit_last_error();
  EXPECT_EQ(program, nullptr);
  std::ofstream(mark) << "";
  EXPECT_EQ(nysjit_prepare(context, spec, nullptr, "cpu:x86-64-v3", &program), NYSJIT_OK)
      << nysjit_last_error();
  nysjit_program_release(program);
  nysjit_context_destroy(context);
}

TEST(Processes, TwoThreadsRunOneProgramAtOnce) {
  Device device("cpu:x86-64-v3");
  Device::Program program = device.prepare(spec);
  Seeded random;
  const Inputs a = randomInputs(random.generator, 1, 2, 2, 32, 16);
  const Inputs b = randomInputs(random.generator, 2, 2, 1, 27, 16);
  const std::vector<double> rightA = device.run(program.get(), a, "float32");
  const std::vector<double> rightB = device.run(program.get(), b, "float32");
  bool same = true;
  std::thread other([&] {
    for (int i = 0; i < 200; ++i)
      same &= device.run(program.get(), b, "float32") == rightB;
  });
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(device.run(program.get(), a, "float32"), rightA);
  other.join();
  EXPECT_TRUE(same);
}

} // namespace
