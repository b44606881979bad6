// assembleCubin with the machine's ptxas where there is one, and with scripts that say what a ptxas
// may.
#include "compiler/worker/assemblers.h"
#include "compiler/worker/run_ptxas.h"
#include "runtime/cuda/find_ptxas.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace nysjit {
namespace {

namespace fs = std::filesystem;

const std::string ptx = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry twice(.param .u64 p)
{
  .reg .b64 %rd<4>;
  .reg .f32 %f<3>;
  .shared .align 4 .b8 buffer[512];
  .reg .b32 %r<3>;
  ld.param.u64 %rd1, [p];
  cvta.to.global.u64 %rd2, %rd1;
  ld.global.f32 %f1, [%rd2];
  add.f32 %f2, %f1, %f1;
  mov.u32 %r1, buffer;
  st.shared.f32 [%r1], %f2;
  bar.sync 0;
  ld.shared.f32 %f2, [%r1+256];
  st.global.f32 [%rd2], %f2;
  ret;
}
.visible .entry nothing()
{
  ret;
}
)";

class Assembler : public testing::Test {
protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "nysjit-ptxas-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder); }
  /// An executable that writes a cubin and runs `body`.
  std::string script(const std::string &body) {
    const fs::path path = folder / "ptxas";
    std::ofstream(path) << "#!/bin/sh\nprintf '\\177ELF cubin' > program.cubin\n" << body << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  static std::string failure(const Result<AssembledCubin> &result) {
    EXPECT_FALSE(result.ok());
    if (result)
      return "";
    EXPECT_EQ(result.error().kind, ErrorKind::CompileFailed) << result.error().message;
    return result.error().message;
  }
  fs::path folder;
};

/// The machine's own, or the test is skipped.
#define NYSJIT_NEEDS_PTXAS(path)                                                                   \
  Result<std::string> path = findPtxas();                                                          \
  if (!path)                                                                                       \
  GTEST_SKIP() << "skipped, no ptxas"

TEST_F(Assembler, AnOlderPtxasCompilesOneKernelAfterTheOther) {
  const std::string older = script("case \"$*\" in *split-compile*) echo \"ptxas fatal : Unknown "
                                   "option '--split-compile'\"; exit 255;; esac");
  EXPECT_TRUE(assembleCubin(ptx, 80, older).ok());
}

TEST_F(Assembler, GivesACubinAndEachKernelsResources) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  Result<AssembledCubin> made = assembleCubin(ptx, 80, *ptxas);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->cubin.substr(1, 3), "ELF");
  ASSERT_EQ(made->kernels.size(), 2u);
  EXPECT_EQ(made->kernels[0].name, "nothing");
  EXPECT_EQ(made->kernels[1].name, "twice");
  EXPECT_GT(made->kernels[1].registers, 2);
  EXPECT_EQ(made->kernels[1].sharedBytes, 512);
  EXPECT_EQ(made->kernels[1].spillBytes, 0);
  EXPECT_EQ(made->kernels[0].sharedBytes, 0);
}

TEST_F(Assembler, GivesTheSameBytesEachTime) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  Result<AssembledCubin> first = assembleCubin(ptx, 80, *ptxas);
  Result<AssembledCubin> second = assembleCubin(ptx, 80, *ptxas);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(first->cubin == second->cubin);
  EXPECT_FALSE(assembleCubin(ptx, 90, *ptxas)->cubin == first->cubin);
}

TEST_F(Assembler, CountsSpills) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  // 40 values live across a barrier in the fewest registers.
  std::string text = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 "
                     "p)\n.maxnreg 16\n{\n"
                     ".reg .b64 %rd<2>; .reg .f32 %f<42>;\nld.param.u64 %rd1, [p];\n";
  for (int i = 0; i < 40; ++i)
    text += "ld.volatile.global.f32 %f" + std::to_string(i) + ", [%rd1+" + std::to_string(4 * i) +
            "];\n";
  text += "bar.sync 0;\n";
  for (int i = 0; i < 40; ++i)
    text += "st.volatile.global.f32 [%rd1+" + std::to_string(4 * i) + "], %f" +
            std::to_string(39 - i) + ";\n";
  Result<AssembledCubin> made = assembleCubin(text + "ret;\n}\n", 80, *ptxas);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_GE(made->kernels[0].spillBytes, 2 * 4 * 16);
}

TEST_F(Assembler, AMistakeIsAnErrorWithItsLine) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  std::string wrong = ptx;
  wrong.replace(wrong.find("add.f32"), 7, "odd.f32");
  const std::string message = failure(assembleCubin(wrong, 80, *ptxas));
  EXPECT_NE(message.find("line 13"), std::string::npos) << message;
  EXPECT_NE(message.find("at: odd.f32 %f2, %f1, %f1;"), std::string::npos) << message;
}

TEST_F(Assembler, AnOptimizationGivenUpIsAnError) {
  for (const char *code : {"C7504", "C7510", "C7519"}) {
    const std::string note =
        "ptxas info    : (" + std::string(code) + ") Potential Performance Loss: wgmma serialized";
    EXPECT_NE(failure(assembleCubin(ptx, 80, script("echo '" + note + "' >&2"))).find(note),
              std::string::npos);
  }
  for (const char *other : {"C7503", "C7520", "Cx"})
    EXPECT_TRUE(
        assembleCubin(ptx, 80, script("echo 'ptxas info : (" + std::string(other) + ") a note'"))
            .ok())
        << other;
}

TEST_F(Assembler, WhatAKernelCallsIsNotTheKernel) {
  Result<AssembledCubin> made = assembleCubin(ptx, 80, script(R"(cat <<'END'
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'k' for 'sm_80'
ptxas info    : Function properties for k
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Function properties for callee
    64 bytes stack frame, 64 bytes spill stores, 64 bytes spill loads
END)"));
  ASSERT_TRUE(made.ok()) << made.error().message;
  ASSERT_EQ(made->kernels.size(), 1u);
  EXPECT_EQ(made->kernels[0].registers, 40);
  EXPECT_EQ(made->kernels[0].spillBytes, 20);
  EXPECT_EQ(made->kernels[0].sharedBytes, 4096);
}

TEST_F(Assembler, TheArchitectureIsThePtxs) {
  const std::string echo = script("echo $1; exit 1");
  const auto asked = [&](const std::string &target, int sm) {
    return failure(assembleCubin(".version 8.0\n.target " + target + "\n", sm, echo));
  };
  EXPECT_NE(asked("sm_90a", 90).find("-arch=sm_90a\n"), std::string::npos);
  EXPECT_NE(asked("sm_90", 90).find("-arch=sm_90\n"), std::string::npos);
  EXPECT_NE(asked("sm_90, debug", 90).find("-arch=sm_90\n"), std::string::npos);
  EXPECT_NE(asked("sm_80", 90).find("-arch=sm_90\n"), std::string::npos);
  EXPECT_NE(asked("sm_100a", 100).find("-arch=sm_100a\n"), std::string::npos);
}

TEST_F(Assembler, OneThatHangsIsStopped) {
  const std::string message = failure(assembleCubin(ptx, 80, script("sleep 60"), 100));
  EXPECT_NE(message.find("took longer than 100 ms"), std::string::npos) << message;
}

TEST_F(Assembler, OneThatDiesIsAnErrorWithItsSignal) {
  const std::string message = failure(assembleCubin(ptx, 80, script("echo oh no; kill -11 $$")));
  EXPECT_NE(message.find("signal 11"), std::string::npos) << message;
  EXPECT_NE(message.find("oh no"), std::string::npos) << message;
}

TEST_F(Assembler, OneThatWritesNothingIsAnError) {
  EXPECT_NE(failure(assembleCubin(ptx, 80, script("rm program.cubin"))).find("a cubin"),
            std::string::npos);
  EXPECT_FALSE(assembleCubin(ptx, 80, "/absent/ptxas").ok());
}

TEST_F(Assembler, NothingIsLeftBehind) {
  setenv("TMPDIR", folder.c_str(), 1);
  (void)assembleCubin(ptx, 80, script(""));
  (void)assembleCubin(ptx, 80, script("exit 1"));
  unsetenv("TMPDIR");
  // the script
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

/// What ptxas releases say of PTX and targets that came after them.
const char *const oldWords[] = {
    "ptxas program.ptx, line 1; fatal   : Unsupported .version 8.7; current version is '7.0'",
    "ptxas fatal   : Value 'sm_120' is not defined for option 'gpu-name'",
    "ptxas program.ptx, line 2; fatal   : Unsupported .target 'sm_120'"};

class SeveralAssemblers : public Assembler {
protected:
  /// A ptxas of its own name that says `words` and fails; without words one that does its work.
  std::string named(const std::string &name, const std::string &words) {
    const fs::path from = script(words.empty() ? "" : "echo \"" + words + "\" >&2; exit 255");
    fs::rename(from, folder / name);
    return folder / name;
  }
  static CubinAttempt attempt(const std::vector<std::string> &paths) {
    Result<CubinAttempt> result = tryAssemblers({.paths = paths}, ptx, 80);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result ? std::move(*result) : CubinAttempt();
  }
};

TEST_F(SeveralAssemblers, AnOldOneLeavesThePtxToTheDriverWithALine) {
  for (const std::string words : oldWords) {
    const std::string old = named("old", words);
    const CubinAttempt alone = attempt({old});
    EXPECT_FALSE(alone.cubin);
    EXPECT_TRUE(alone.isLasting);
    EXPECT_EQ(alone.reason, old + ": it exited with status 255: " + words);
    EXPECT_EQ(alone.reason.find('\n'), std::string::npos);
  }
}

TEST_F(SeveralAssemblers, ANewerOneAfterAnOldOneIsUsed) {
  const std::string old = named("old", oldWords[0]);
  const CubinAttempt both = attempt({old, named("new", "")});
  EXPECT_TRUE(both.cubin);
  EXPECT_EQ(both.reason, "");
}

TEST_F(SeveralAssemblers, BrokenOnesArePassedOverButNotForGood) {
  const std::string broken = named("broken", "cannot open shared object file");
  const std::string crashing = script("kill -11 $$");
  for (const std::string &path : {broken, crashing, std::string("/absent/ptxas")}) {
    EXPECT_TRUE(attempt({path, named("new", "")}).cubin);
    const CubinAttempt alone = attempt({path});
    EXPECT_FALSE(alone.cubin || alone.isLasting) << alone.reason;
    EXPECT_NE(alone.reason.find(path), std::string::npos);
  }
}

TEST_F(SeveralAssemblers, WrongPtxIsAnErrorWhateverFollows) {
  const std::string refusing =
      named("refusing", "ptxas program.ptx, line 13; error : Not a name of any known instruction");
  Result<CubinAttempt> result =
      tryAssemblers({.paths = {named("old", oldWords[0]), refusing, named("new", "")}}, ptx, 80);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::CompileFailed);
  EXPECT_NE(result.error().message.find("line 13"), std::string::npos);
}

TEST_F(SeveralAssemblers, AVariableThatNamesSomethingElseIsAnError) {
  const auto given = [&](const std::string &path) {
    return tryAssemblers({.paths = {path}, .variable = "NYSJIT_PTXAS"}, ptx, 80);
  };
  for (const char *path : {"/bin/true", "/bin/false", "/bin/cat"}) {
    Result<CubinAttempt> result = given(path);
    ASSERT_FALSE(result.ok()) << path;
    EXPECT_EQ(result.error().kind, ErrorKind::InvalidArgument);
    EXPECT_TRUE(result.error().message.starts_with(
        "NYSJIT_PTXAS: expected the path of a ptxas, or none, found \"" + std::string(path) + "\""))
        << result.error().message;
  }
  // One that is a ptxas, old or not at its best, is no mistake.
  EXPECT_TRUE(given(named("old", oldWords[1])).ok());
  EXPECT_TRUE(given(script("case $1 in --version) echo ptxas: a release;; *) exit 3;; esac")).ok());
}

TEST_F(SeveralAssemblers, HangingOnesShareOneLimitAndEndWithTheirChildren) {
  const std::string pids = folder / "pids";
  const std::string hanging = script("sleep 1000 & echo $! >>" + pids + "; wait");
  fs::rename(hanging, folder / "first");
  fs::copy(folder / "first", folder / "second");
  for (const std::string variable : {"", "NYSJIT_PTXAS"}) {
    Result<CubinAttempt> result = tryAssemblers(
        {.paths = {folder / "first", folder / "second"}, .variable = variable, .limitMs = 300}, ptx,
        80);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_NE(result->reason.find("took longer than"), std::string::npos) << result->reason;
    EXPECT_FALSE(result->isLasting);
  }
  std::ifstream file(pids);
  for (pid_t pid; file >> pid;) { // killed, and soon reaped by whoever adopts them
    const fs::path status = "/proc/" + std::to_string(pid) + "/stat";
    std::string text;
    for (int tries = 0; tries < 1000; ++tries, usleep(10000)) {
      text.clear();
      std::getline(std::ifstream(status), text);
      if (text.find("sleep") == std::string::npos || text.find(") Z ") != std::string::npos)
        break;
    }
    EXPECT_TRUE(text.find("sleep") == std::string::npos || text.find(") Z ") != std::string::npos)
        << text;
  }
}

TEST_F(SeveralAssemblers, TheMachinesOwnSaysOfWhatIsNewerThanItThatItIsOld) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  std::string later = ptx;
  later.replace(later.find("7.0"), 3, "99.0");
  AssemblerFault fault = AssemblerFault::Broken;
  EXPECT_FALSE(assembleCubin(later, 80, *ptxas, assemblerLimitMs, &fault).ok());
  EXPECT_EQ(fault, AssemblerFault::Old);
  fault = AssemblerFault::Broken;
  EXPECT_FALSE(assembleCubin(ptx, 999, *ptxas, assemblerLimitMs, &fault).ok());
  EXPECT_EQ(fault, AssemblerFault::Old);
  EXPECT_TRUE(isPtxas(*ptxas));
}

} // namespace
} // namespace nysjit
