// broken.cu: each kernel's mistake is found, and named by its line in the CUDA source.
#include "tests/emulator/fixture.h"

using namespace nysjit::emulator_test;

namespace {

/// "broken.cu:8" for the line of broken.cu that ends in `comment`.
std::string place(const std::string &comment) {
  std::ifstream file(NYSJIT_SOURCE_DIR "/tests/emulator/fixtures/broken.cu");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number)
    if (line.size() >= comment.size() &&
        line.compare(line.size() - comment.size(), comment.size(), comment) == 0)
      return "broken.cu:" + std::to_string(number);
  return "no line ends in " + comment;
}

class BrokenFixture : public testing::TestWithParam<Mode> {
protected:
  /// Launches one block, and expects a report that holds each of `words`, and `result` of the wait.
  template <typename... Arguments>
  void expectFound(const char *name, unsigned threads, CUresult result,
                   std::vector<std::string> words, const Arguments &...arguments) {
    expectReport(name, threads, std::move(words), arguments...);
    EXPECT_EQ(api().cuCtxSynchronize(), result);
    api().reset();
  }
  /// The same where the result depends on the order of warps.
  template <typename... Arguments>
  void expectReport(const char *name, unsigned threads, std::vector<std::string> words,
                    const Arguments &...arguments) {
    Kernel kernel = module.kernel(name);
    EXPECT_EQ(kernel.tryLaunch(1, threads, 0, arguments...), CUDA_SUCCESS);
    const std::string report = api().report();
    words.push_back(std::string(name) + " launch 1: ");
    for (const std::string &word : words)
      EXPECT_NE(report.find(word), report.npos) << "expected \"" << word << "\" in:\n" << report;
  }
  Device device{GetParam()};
  Module module{fixture("broken")};
};
NYSJIT_EVERY_MODE(BrokenFixture, 80);

} // namespace

TEST_P(BrokenFixture, MissingBarrierIsARace) {
  Buffer<int> in(std::vector<int>(128, 1));
  Buffer<int> out(128);
  // In some orders also a read of what nobody wrote yet, which is a fault.
  expectReport("missingBarrier", 128, {"race", place("// race")}, in, out);
  EXPECT_GT(lastCounts().races, 0);
}

TEST_P(BrokenFixture, BarrierMissingBeforeReuseIsARace) {
  Buffer<int> out(64);
  expectFound("reusedTooEarly", 64, CUDA_SUCCESS,
              {"race", place("// while others still read"), place("// before it is written again")},
              out);
}

TEST_P(BrokenFixture, WarpsThatWriteOnePlace) {
  Buffer<int> out(1);
  expectFound("globalRace", 64, CUDA_SUCCESS, {"race", place("// threads of several warps write")},
              out);
}

TEST_P(BrokenFixture, ReadingPastTheEnd) {
  Buffer<int> in(std::vector<int>(64, 1));
  Buffer<int> out(64);
  expectFound("pastTheEnd", 96, CUDA_ERROR_ILLEGAL_ADDRESS,
              {"out of bounds", place("// out of bounds")}, in, out, 64);
}

TEST_P(BrokenFixture, WritingPastSharedMemory) {
  Buffer<int> out(64);
  expectFound("sharedPastTheEnd", 64, CUDA_ERROR_ILLEGAL_ADDRESS,
              {"out of bounds", place("// out of shared memory")}, out);
}

TEST_P(BrokenFixture, ReadingWhatNobodyWrote) {
  Buffer<int> in(64);
  Buffer<int> out(64);
  expectFound("unwritten", 64, CUDA_ERROR_LAUNCH_FAILED,
              {"uninitialised", place("// uninitialised")}, out);
  expectFound("unwrittenGlobal", 64, CUDA_ERROR_LAUNCH_FAILED,
              {"uninitialised", place("// nobody wrote it")}, in, out);
}

TEST_P(BrokenFixture, BarrierThatOnlySomeReach) {
  Buffer<int> out(64);
  expectFound("partedBarrier", 64, CUDA_ERROR_LAUNCH_FAILED, {"divergence", place("// divergent")},
              out);
}

TEST_P(BrokenFixture, MisalignedAddress) {
  Buffer<char> in(std::vector<char>(128, 1));
  Buffer<int> out(32);
  expectFound("misaligned", 32, CUDA_ERROR_MISALIGNED_ADDRESS,
              {"misaligned", place("// misaligned")}, in, out);
}

TEST_P(BrokenFixture, CopyThatNobodyAwaited) {
  Buffer<int> in(std::vector<int>(32, 1));
  Buffer<int> out(32);
  expectReport("copyNotAwaited", 32, {"asynchronous copy", place("// not awaited")}, in, out);
}

TEST_P(BrokenFixture, CopyAwaitedByItsOwnThreadsOnly) {
  Buffer<int> in(std::vector<int>(64, 1));
  Buffer<int> out(64);
  expectReport("awaitedByItselfOnly", 64, {place("// another warp's copy")}, in, out);
}

TEST_P(BrokenFixture, EndlessLoopIsStopped) {
  nysjit_emulator_options options = {sizeof options, GetParam().lazy, 80, GetParam().seed, 10000};
  ASSERT_EQ(api().configure(&options), 0);
  Buffer<int> flag(std::vector<int>{0});
  expectFound("endless", 32, CUDA_ERROR_LAUNCH_FAILED, {"limit", place("// endless")}, flag);
}
