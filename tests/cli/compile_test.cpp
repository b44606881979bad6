// `nysjit compile`: stages out and in, and the cache's commands.
#include "tests/cli/command.h"
#include "tests/runtime/sandbox.h"

#include <fstream>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

namespace {

class Compile : public CommandTest {
protected:
  void SetUp() override {
    NYSJIT_NEEDS_COMPILER();
    CommandTest::SetUp();
  }
};

TEST_F(Compile, TheJsonHasWhatTheContractSays) {
  nlohmann::json reply = json({"compile", "causal.json"});
  EXPECT_EQ(reply["target"], "cpu:native");
  EXPECT_EQ(reply["cache"], "compiled");
  EXPECT_FALSE(reply["stages_ms"].empty());
  ASSERT_FALSE(reply["kernels"].empty());
  for (const nlohmann::json &kernel : reply["kernels"]) {
    EXPECT_TRUE(reply["config"].contains(kernel["name"]));
    EXPECT_GT(kernel["object_bytes"].get<int64_t>(), 0);
  }
  EXPECT_EQ(json({"compile", "causal.json"})["cache"], "disk");
}

TEST_F(Compile, TheSharedObjectIsWrittenAndTheSameEachTime) {
  for (const char *spec : {"exact.json", "causal.json"}) {
    json({"compile", spec, "-o", "one.so"});
    EXPECT_EQ(read("one.so").substr(0, 4), "\x7f"
                                           "ELF");
    json({"cache", "clear"});
    json({"compile", spec, "-o", "two.so"});
    EXPECT_TRUE(read("one.so") == read("two.so")) << spec;
  }
}

// Whichever of the compiler's files it is that cannot be written: not the request's fault.
TEST_F(Compile, ALimitOnFileSizesIsNoWrongRequest) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  int refused = 0;
  for (rlim_t most = 2000; most <= 32000; most += 2000) {
    const rlimit limits = {most, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limits), 0);
    const Outcome outcome = nysjit({"compile", "exact.json"});
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    refused += outcome.exitCode == 1;
    EXPECT_TRUE(outcome.exitCode == 0 ||
                (outcome.exitCode == 1 && outcome.err.find("File too large") != std::string::npos))
        << most << " bytes: " << outcome.exitCode << " " << outcome.err;
    std::filesystem::remove_all(folder / "cache");
  }
  EXPECT_GT(refused, 0);
}

// LLD maps what it writes: without room that would be a signal.
TEST_F(Compile, AFullFolderForTemporaryFilesIsSaidAndNothingStaysThere) {
  std::filesystem::create_directory(folder / "small");
  int refused = 0;
  for (int pages = 1; pages <= 32; ++pages) {
    const std::string said = nysjit::inProcess([&]() -> std::string {
      const std::string small = folder / "small";
      const std::string size = "size=" + std::to_string(pages * 4) + "k";
      if (unshare(CLONE_NEWNS | (getuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
          mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("none", small.c_str(), "tmpfs", 0, size.c_str()) != 0)
        return "not here";
      setenv("TMPDIR", small.c_str(), 1);
      const Outcome outcome = nysjit({"compile", "exact.json"});
      if (!std::filesystem::is_empty(small))
        return "files are left";
      return outcome.exitCode == 0 ? "" : std::to_string(outcome.exitCode) + outcome.err;
    });
    if (said == "not here")
      GTEST_SKIP() << "no mounts of its own";
    refused += !said.empty();
    EXPECT_TRUE(said.empty() ||
                (said.find("nysjit: " + (folder / "small").string()) != std::string::npos &&
                 said.find("No space left") != std::string::npos))
        << pages << ": " << said;
    std::filesystem::remove_all(folder / "cache");
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 32);
}

TEST_F(Compile, ASmallStackIsEnough) {
#ifdef NYSJIT_SANITIZED
  GTEST_SKIP() << "sanitized code takes more";
#endif
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_STACK, &before), 0);
  const rlimit limits = {64 << 10, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_STACK, &limits), 0);
  const Outcome compiled = nysjit({"compile", "causal.json"});
  const Outcome ran = run("causal.json");
  ASSERT_EQ(setrlimit(RLIMIT_STACK, &before), 0);
  EXPECT_EQ(compiled.exitCode, 0) << compiled.err;
  EXPECT_EQ(ran.exitCode, 0) << ran.err;
}

TEST_F(Compile, EveryStageGoesToStandardOutputOrAFile) {
  for (const char *stage : {"tile", "lowered", "llvm", "asm", "object", "plan"}) {
    Outcome outcome = nysjit({"compile", "exact.json", "--emit", stage});
    EXPECT_EQ(outcome.exitCode, 0) << stage << outcome.err;
    EXPECT_FALSE(outcome.out.empty()) << stage;
    nlohmann::json reply = json({"compile", "exact.json", "--emit", stage, "-o", "stage"});
    EXPECT_EQ(reply["target"], "cpu:native");
    EXPECT_EQ(read("stage"), outcome.out) << stage;
  }
  std::string plan = nysjit({"compile", "exact.json", "--emit", "plan"}).out;
  EXPECT_TRUE(nlohmann::json::parse(plan, nullptr, false).is_object()) << plan;
}

TEST_F(Compile, AStageGivenBackGivesTheSameObject) {
  for (const char *spec : {"exact.json", "causal.json"}) {
    nysjit({"compile", spec, "--emit", "object", "-o", "direct.o"});
    for (const char *stage : {"tile", "lowered", "llvm", "asm"}) {
      nysjit({"compile", spec, "--emit", stage, "-o", "stage"});
      Outcome outcome =
          nysjit({"compile", spec, "--from", stage, "stage", "--emit", "object", "-o", "again.o"});
      EXPECT_EQ(outcome.exitCode, 0) << stage << outcome.err;
      EXPECT_TRUE(read("again.o") == read("direct.o")) << spec << ' ' << stage;
    }
  }
}

TEST_F(Compile, AStageThatIsNonsenseIsRefused) {
  write("nonsense", "this is no IR");
  for (const char *stage : {"tile", "lowered", "llvm"}) {
    Outcome outcome = nysjit({"compile", "exact.json", "--from", stage, "nonsense", "--emit",
                              "object", "-o", "o.npy", "--json"});
    EXPECT_TRUE(outcome.exitCode == 1 || outcome.exitCode == 2) << outcome.exitCode;
    EXPECT_TRUE(nlohmann::json::parse(outcome.out, nullptr, false).contains("error"))
        << outcome.out;
    EXPECT_FALSE(exists("o.npy"));
  }
  expectFailure({"compile", "exact.json", "--from", "tile", "absent"}, 2, "invalid_file");
}

TEST_F(Compile, AnEnvironmentsNumberIsReadWholeOrRefusedByName) {
  for (const char *name : {"NYSJIT_VERIFY_IR", "NYSJIT_COMPILE_TIMEOUT_MS"})
    for (const char *value : {"yes", "-1", "1x", " 1", "99999999999"}) {
      setenv(name, value, 1);
      const nlohmann::json error = expectFailure({"compile", "exact.json"}, 2, "invalid_argument");
      unsetenv(name);
      EXPECT_EQ(error["where"], name);
      EXPECT_EQ(error["found"], '"' + std::string(value) + '"');
    }
}

TEST_F(Compile, WithoutACompilerTheMessageSaysSo) {
  setenv("NYSJIT_COMPILER", "/absent/nysjit-compiler", 1);
  nlohmann::json error = expectFailure({"compile", "exact.json"}, 1, "unavailable");
  unsetenv("NYSJIT_COMPILER");
  EXPECT_NE(error["message"].get<std::string>().find("/absent/nysjit-compiler"), std::string::npos)
      << error;
}

TEST_F(Compile, AnOldPtxasIsNoObstacleButForACubin) {
  write("ptxas", "#!/bin/sh\necho \"ptxas fatal : Value 'sm_80' is not defined for option "
                 "'gpu-name'\" >&2\nexit 255\n");
  std::filesystem::permissions(folder / "ptxas", std::filesystem::perms::owner_all);
  setenv("NYSJIT_PTXAS", (folder / "ptxas").c_str(), 1);
  const std::vector<std::string> arguments = {"compile", "exact.json", "--target", "cuda:sm_80"};
  const nlohmann::json reply = json(arguments);
  const Outcome again = nysjit(arguments);
  std::vector<std::string> cubin = arguments;
  cubin.insert(cubin.end(), {"--emit", "cubin", "-o", "o.npy"});
  const nlohmann::json error = expectFailure(cubin, 1, "compile_failed");
  unsetenv("NYSJIT_PTXAS");
  EXPECT_EQ(reply["cache"], "compiled");
  EXPECT_TRUE(reply["note"].get<std::string>().starts_with("no cubin, the GPU's driver is to "))
      << reply;
  EXPECT_NE(again.out.find("disk"), std::string::npos); // and kept, as the next would say the same
  EXPECT_EQ(again.err, "");
  EXPECT_NE(error["found"].get<std::string>().find("is not defined for option"), std::string::npos);
}

using Cache = Compile;

TEST_F(Cache, ListShowVerifyClear) {
  EXPECT_TRUE(json({"cache", "list"})["entries"].empty());
  json({"compile", "exact.json"});
  json({"compile", "causal.json"});
  nlohmann::json entries = json({"cache", "list"})["entries"];
  ASSERT_EQ(entries.size(), 2u);
  std::string key = entries[0]["key"];
  EXPECT_EQ(json({"cache", "show", key})["key"], key);
  EXPECT_EQ(nysjit({"cache", "show", key}).exitCode, 0);
  EXPECT_TRUE(json({"cache", "verify"})["damaged"].empty());
  EXPECT_EQ(json({"cache", "clear"})["removed"], 2);
  EXPECT_TRUE(json({"cache", "list"})["entries"].empty());
}

TEST_F(Cache, AnUnknownKeyIsNamed) {
  for (const char *key : {"0123456789abcdef0123456789abcdef", "../../etc/passwd", "", "x"})
    EXPECT_EQ(expectFailure({"cache", "show", key}, 2, "invalid_argument")["where"], "KEY") << key;
}

TEST_F(Cache, DamageIsFoundAndMended) {
  json({"compile", "exact.json"});
  for (const auto &file : std::filesystem::recursive_directory_iterator(folder / "cache"))
    if (file.is_regular_file() && file.file_size() > 1000) {
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(std::streamoff(file.file_size() / 2));
      stream.write("damage!!", 8);
    }
  Outcome outcome = nysjit({"cache", "verify", "--json"});
  EXPECT_EQ(outcome.exitCode, 1);
  EXPECT_TRUE(nlohmann::json::parse(outcome.out, nullptr, false).contains("error")) << outcome.out;
  EXPECT_EQ(json({"compile", "exact.json"})["cache"], "compiled");
  EXPECT_EQ(nysjit({"cache", "verify"}).exitCode, 0);
}

} // namespace
