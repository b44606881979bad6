// broken.cu: each kernel's mistake is found, and named by its line in the CUDA source.
#include "tests/emulator/fixture.h"

using namespace nysjit::emulator_test;

namespace {

/// "broken.cu:8" for the line of broken.cu that ends in `comment`.
std::string place(const std::string &comment) {
  std::ifstream file(NYSJIT_SOURCE_DIR "/tests/emulator/fixtures/broken.cu");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number)
    if (line.size() >= comment.size() && line.compare(line.size() - comment.size(), comment.size(), comment) == 0)
      return "broken.cu:" + std::to_string(number);
  return "no line ends in " + comment;
}

class BrokenFixture : public testing::TestWithParam<Mode> {
protected:
  /// Launches and expects `result` of the wait, and a report that holds each of `words`.
  template <typename... Arguments>
  void expectFound(const char *name, unsigned threads, CUresult result, std::vector<std::string> words,
                   const Arguments &...arguments) {
    Kernel kernel = module.kernel(name);
    EXPECT_EQ(kernel.tryLaunch(1, threads, 0, arguments...), CUDA_SUCCESS);
    EXPECT_EQ(api().cuCtxSynchronize(), result);
    const std::string report = api().report();
    words.push_back(std::string(name) + " launch 1: ");
    for (const std::string &word : words)
      EXPECT_NE(report.find(word), report.npos) << "expected \"" << word << "\" in:\n" << report;
    api().reset();
  }
  Device device{GetParam()};
  Module module{fixture("broken")};
};
NYSJIT_EVERY_MODE(BrokenFixture, 80);

} // namespace

TEST_P(BrokenFixture, MissingBarrierIsARace) {
  Buffer<int> in(std::vector<int>(128, 1)), out(128);
  Kernel kernel = module.kernel("missingBarrier");
  EXPECT_EQ(kernel.tryLaunch(1, 128, 0, in, out), CUDA_SUCCESS);
  EXPECT_GT(lastCounts().races, 0); // and, in some orders, a read of what nobody wrote yet, which is a fault
  const std::string report = api().report();
  EXPECT_NE(report.find("missingBarrier launch 1: race"), report.npos) << report;
  EXPECT_NE(report.find(place("// race")), report.npos) << report;
}

TEST_P(BrokenFixture, ReadingPastTheEnd) {
  Buffer<int> in(std::vector<int>(64, 1)), out(64);
  expectFound("pastTheEnd", 96, CUDA_ERROR_ILLEGAL_ADDRESS, {place("// out of bounds")}, in, out, 64);
}

TEST_P(BrokenFixture, ReadingWhatNobodyWrote) {
  Buffer<int> out(64);
  Kernel kernel = module.kernel("unwritten");
  EXPECT_EQ(kernel.tryLaunch(1, 64, 0, out), CUDA_SUCCESS);
  const std::string report = api().report();
  EXPECT_NE(report.find("uninitialised"), report.npos) << report;
  EXPECT_NE(report.find(place("// uninitialised")), report.npos) << report;
}

TEST_P(BrokenFixture, BarrierThatOnlySomeReach) {
  Buffer<int> out(64);
  Kernel kernel = module.kernel("partedBarrier");
  EXPECT_EQ(kernel.tryLaunch(1, 64, 0, out), CUDA_SUCCESS);
  const std::string report = api().report();
  EXPECT_NE(report.find(place("// divergent")), report.npos) << report;
}

TEST_P(BrokenFixture, MisalignedAddress) {
  Buffer<char> in(std::vector<char>(128, 1));
  Buffer<int> out(32);
  expectFound("misaligned", 32, CUDA_ERROR_MISALIGNED_ADDRESS, {place("// misaligned")}, in, out);
}

TEST_P(BrokenFixture, CopyThatNobodyAwaited) {
  Buffer<int> in(std::vector<int>(32, 1)), out(32);
  Kernel kernel = module.kernel("copyNotAwaited");
  EXPECT_EQ(kernel.tryLaunch(1, 32, 0, in, out), CUDA_SUCCESS);
  const std::string report = api().report();
  EXPECT_NE(report.find(place("// not awaited")), report.npos) << report;
}

TEST_P(BrokenFixture, WarpsThatWriteOnePlace) {
  Buffer<int> out(1);
  expectFound("globalRace", 64, CUDA_SUCCESS, {"race", place("// threads of several warps write")}, out);
}

TEST_P(BrokenFixture, EndlessLoopIsStopped) {
  nysjit_emulator_options options = {sizeof options, GetParam().lazy, 80, GetParam().seed, 10000};
  ASSERT_EQ(api().configure(&options), 0);
  Buffer<int> flag(std::vector<int>{0});
  expectFound("endless", 32, CUDA_ERROR_LAUNCH_FAILED, {place("// endless")}, flag);
}
