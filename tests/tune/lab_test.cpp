// Labs that are not this machine's CPU: kernels that do not run, programs made elsewhere, times
// that are a model's, clocks that move.
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <unistd.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

class LabTest : public testing::Test {
protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("nysjit_lab_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  Result<TuneReport> tuned(FakeWorld &world, const TuneFile &file, JournalStart start) {
    Result<std::unique_ptr<Journal>> journal = Journal::open(folder / "t.jsonl", start);
    EXPECT_TRUE(journal.ok());
    progressText.clear();
    FILE *stream = std::tmpfile();
    Result<TuneReport> report = [&] {
      ProgressLine progress(stream);
      return tuneSpecs({file, "t.json", "0", "1"}, fakeLabs(world), **journal, progress);
    }();
    std::rewind(stream);
    for (int c; (c = std::fgetc(stream)) != EOF;)
      progressText += char(c);
    std::fclose(stream);
    return report;
  }
  std::filesystem::path folder;
  std::string progressText;
};

FakeWorld::Factor halfAt(int rows, int columns) {
  return [=](const BlockConfig &block, size_t, int) {
    return block.blockM == rows && block.blockN.value_or(columns) == columns ? 0.5 : 1.0;
  };
}

TEST_F(LabTest, AKernelThatIsNotLaunchedIsNotTuned) {
  FakeWorld world{.factors = {{"causal_output", halfAt(32, 64)}}, .idle = {"landmark_solve"}};
  Result<TuneReport> report = tuned(world, fakeTune(), JournalStart::New);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const GroupReport &group : report->specs[0].groups)
    for (const CandidateReport &one : group.candidates) {
      const bool isIdle = group.group.name == "landmark_solve";
      EXPECT_EQ(one.candidate.invalidity, isIdle ? "constraints" : "") << group.group.name;
      EXPECT_EQ(one.ratios.empty(), isIdle);
    }
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("causal_output").blockM, 32);
  // That is known the next time.
  FakeWorld again = world;
  again.runs = 0;
  report = tuned(again, fakeTune(), JournalStart::Resume);
  EXPECT_TRUE(report->specs[0].isFromJournal);
  EXPECT_EQ(again.runs, 0);
}

/// The complete configs of the default and of these kernels' blocks in its place.
std::vector<KernelConfig> configsOf(const std::vector<KernelBlocks> &changes) {
  FakeWorld world;
  FakeLab lab(world);
  KernelConfig defaults;
  const Result<Plan> plan = lab.plan({});
  for (const PlanKernel &kernel : plan->kernels)
    if (kernel.config != BlockConfig())
      defaults.kernels[kernel.name] = kernel.config;
  std::vector<KernelConfig> configs = {defaults};
  for (const KernelBlocks &blocks : changes) {
    configs.push_back(defaults);
    for (const auto &[kernel, block] : blocks)
      configs.back().kernels[kernel] = block;
  }
  return configs;
}

TEST_F(LabTest, OnlyProgramsThatAreThereAreTuned) {
  const KernelBlocks fast = {{"causal_output", {.blockM = 32, .blockN = 64}}};
  FakeWorld world{.factors = {{"causal_output", halfAt(32, 64)}},
                  .offered = configsOf({fast, {{"landmark_solve", {.blockM = 16}}}})};
  Result<TuneReport> report = tuned(world, fakeTune(), JournalStart::New);
  ASSERT_TRUE(report.ok()) << report.error().message;
  size_t candidates = 0;
  for (const GroupReport &group : report->specs[0].groups)
    candidates += group.candidates.size();
  EXPECT_EQ(candidates, 2u);
  EXPECT_EQ(report->specs[0].entry.config, configsOf({fast})[1]);
}

// Whatever candidates stand together there: a pack of the tuner's own would pair them by their
// distance from the default.
TEST_F(LabTest, ProgramsAreTakenAsTheyAreThere) {
  const BlockConfig near = {.blockM = 64, .blockN = 32};
  const BlockConfig far = {.blockM = 16, .blockN = 16};
  FakeWorld world{.offered =
                      configsOf({{{"causal_output", near}, {"landmark_solve", {.blockM = 16}}},
                                 {{"causal_output", far}, {"landmark_solve", {.blockM = 32}}}})};
  Result<TuneReport> report = tuned(world, fakeTune(), JournalStart::New);
  ASSERT_TRUE(report.ok()) << report.error().message;
  size_t timed = 0;
  for (const GroupReport &group : report->specs[0].groups)
    for (const CandidateReport &one : group.candidates) {
      EXPECT_EQ(one.candidate.invalidity, "") << one.candidate.reason;
      timed += !one.ratios.empty();
    }
  EXPECT_EQ(timed, 4u);
}

TEST_F(LabTest, AChoiceThatIsNotThereEndsTheTuneAndIsResumed) {
  const KernelBlocks first = {{"causal_output", {.blockM = 32, .blockN = 64}}};
  const KernelBlocks second = {{"landmark_solve", {.blockM = 16}}};
  FakeWorld world{.factors = {{"causal_output", halfAt(32, 64)}, {"landmark_solve", halfAt(16, 0)}},
                  .offered = configsOf({first, second})};
  Result<TuneReport> report = tuned(world, fakeTune(), JournalStart::New);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(report.error().where, "--bundle");
  KernelBlocks both = first;
  both.insert(second.begin(), second.end());
  world.offered = configsOf({first, second, both});
  world.timings.clear();
  world.series.clear();
  report = tuned(world, fakeTune(), JournalStart::Resume);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->specs[0].entry.config, configsOf({both})[1]);
  EXPECT_TRUE(world.timings.empty()); // of the screening nothing again
}

TEST_F(LabTest, AModelsBudgetIsForTheProgramsNearTheDefaultAndTheVerdict) {
  // A minute a program and shape: the default and its 8 programs take 18.
  FakeWorld world{.factors = {{"causal_output", halfAt(64, 32)}}, .isModel = true};
  Result<TuneReport> report =
      tuned(world, fakeTune(R"(, "budget": {"seconds": 900})"), JournalStart::New);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_NE(progressText.find("the budget has room for"), std::string::npos) << progressText;
  EXPECT_LE(report->seconds, 900);
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("causal_output").blockN, 32);
  EXPECT_EQ(report->specs[0].entry.tuned["objective"], Json("model"));
  size_t left = 0;
  for (const GroupReport &group : report->specs[0].groups)
    left += size_t(std::ranges::count_if(
        group.candidates, [](const CandidateReport &one) { return one.ratios.empty(); }));
  EXPECT_GT(left, 0u);
}

TEST_F(LabTest, AFaultEndsTheTuneAndIsNotTheNextProgramsFault) {
  const auto isFast = [](const KernelConfig &config) {
    return config.kernels.at("causal_output").blockM == 32;
  };
  // In a program alone, with the list of one candidate, and with others'.
  for (const bool isAlone : {true, false}) {
    const std::string lists = R"(, "parameters": {"causal_output": {"block_m": [32, 64]},
        "landmark_target": {}, "landmark_solve": {)" +
                              std::string(isAlone ? "" : R"("block_m": [32, 16])") + "}}";
    FakeWorld world{.breaksTheDevice = isFast};
    Result<TuneReport> report = tuned(world, fakeTune(lists), JournalStart::Restart);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().where, "device");
    EXPECT_NE(report.error().message.find("causal_output 32x64"), std::string::npos);
    // A new process has a device again. What is known to break it is not run any more.
    FakeWorld again{.factors = {{"landmark_solve", halfAt(16, 0)}}, .breaksTheDevice = isFast};
    report = tuned(again, fakeTune(lists), JournalStart::Resume);
    EXPECT_EQ(report.ok(), isAlone) << (report ? "" : report.error().message);
    const std::string without = R"(, "parameters": {"causal_output": {}, "landmark_target": {},
        "landmark_solve": {"block_m": [32, 16]}})";
    FakeWorld last{.factors = {{"landmark_solve", halfAt(16, 0)}}, .breaksTheDevice = isFast};
    report = tuned(last, fakeTune(without), JournalStart::Resume);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->specs[0].entry.config.kernels.at("landmark_solve").blockM, 16);
  }
}

TEST_F(LabTest, AClockThatMovedIsSaidAndWrittenDown) {
  for (const int most : {1500, 1700}) { // MHz: a tenth is not much yet
    FakeWorld world{.factors = {{"causal_output", halfAt(32, 64)}}};
    world.conditions = {{"sm_clock_mhz", Json::array({1400, most})}};
    Result<TuneReport> report = tuned(world, fakeTune(), JournalStart::Restart);
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->specs[0].entry.tuned["conditions"], world.conditions);
    const bool isSaid =
        progressText.find("clock was between 1400 and 1700 MHz") != std::string::npos;
    EXPECT_EQ(isSaid, most == 1700) << progressText;
  }
}

} // namespace
