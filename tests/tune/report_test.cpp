// The table, the heat map and the line of progress.
#include "runtime/tune/report.h"
#include "tests/runtime/temporary_folder.h"
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

GroupReport someGroup() {
  GroupReport group{{"causal_output", {"causal_output"}, {}}, {}};
  group.group.defaults["causal_output"] = {.blockM = 64, .blockN = 64};
  const auto add = [&](int m, int n, double ratio, bool isChosen) {
    CandidateReport one;
    one.candidate.blocks["causal_output"] = {.blockM = m, .blockN = n};
    one.ratio = ratio;
    one.ratios = {ratio};
    one.isChosen = isChosen;
    group.candidates.push_back(one);
  };
  add(16, 32, 0.451, true);
  add(64, 32, 1.25, false);
  return group;
}

TEST(Report, AHeatMapHasACellForEachPairOfBlocks) {
  EXPECT_EQ(heatMap(someGroup(), "causal_output"), "    causal_output        32       64\n"
                                                   "                16   0.451*       . \n"
                                                   "                64   1.250  [1.000] \n");
}

TEST(Report, AKernelWithOneBlockHasNoHeatMap) {
  GroupReport group{{"landmark_solve", {"landmark_solve"}, {}}, {}};
  group.group.defaults["landmark_solve"] = {.blockM = 64};
  EXPECT_EQ(heatMap(group, "landmark_solve"), "");
}

TEST(Report, TextAndJsonSayWhatWon) {
  TemporaryFolder folder;
  FakeWorld world;
  world.factors["causal_output"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 16 ? 0.5 : 1.0;
  };
  Result<std::unique_ptr<Journal>> journal = Journal::open(folder / "t.jsonl", JournalStart::New);
  ProgressLine silent(nullptr);
  const TuneFile file = fakeTune();
  Result<TuneReport> report =
      tuneSpecs({file, "t.json", "0", "0.1.0"}, fakeLabs(world), **journal, silent);
  ASSERT_TRUE(report.ok());
  const std::string text = reportText(*report, file);
  EXPECT_NE(text.find("faster than the default"), std::string::npos) << text;
  EXPECT_NE(text.find("n 2048, 8 heads"), std::string::npos) << text;
  const Json object = reportObject(*report);
  const Json &spec = object["specs"][size_t(0)];
  EXPECT_EQ(spec["tuned"]["verdict"].text(), "faster");
  EXPECT_EQ(spec["config"]["causal_output"]["block_m"].get<int>(), 16);
  EXPECT_EQ(spec["groups"].size(), 3u);
}

TEST(Progress, ALongLineLosesItsMiddle) {
  EXPECT_EQ(elide("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(elide("abcdefghijk", 10), "abcd...ijk");
  EXPECT_EQ(elide("abcdefghijk", 3), "abc");
  EXPECT_EQ(minutes(41), "0:41");
  EXPECT_EQ(minutes(600), "10:00");
  EXPECT_EQ(timesText(41, 80), "0:41, at most 1:20 left");
}

TEST(Progress, WithoutATerminalPhasesAloneAreLines) {
  TemporaryFolder folder;
  std::FILE *file = std::fopen((folder / "out").c_str(), "w");
  {
    ProgressLine line(file);
    line.beginPhase("tuning");
    line.update("[round 1/16]", 0);
    line.say("a line");
    ProgressLine silent(nullptr);
    silent.beginPhase("nothing");
    silent.say("nothing");
  }
  std::fclose(file);
  EXPECT_EQ(readAll(folder / "out"), "nysjit: tuning\nnysjit: a line\n");
}

} // namespace
