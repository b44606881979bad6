// A tune that was ended at any moment goes on to what it would have found, and times nothing twice.
#include "tests/runtime/in_child.h"
#include "tests/runtime/temporary_folder.h"
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <sys/resource.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

FakeWorld someWorld() {
  FakeWorld world;
  world.factors["causal_output"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 32 && block.blockN == 16 ? 0.6 : 1.0;
  };
  world.factors["landmark_target"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 16 ? 0.5 : 1.0;
  };
  return world;
}

/// Two numbers of threads: two parts, of which one may be finished.
TuneFile twoParts() { return fakeTune(R"(, "threads": [1, 2])"); }

Result<TuneReport> tuned(FakeWorld &world, const TuneFile &file, const std::string &journalPath,
                         JournalStart start = JournalStart::Resume) {
  Result<std::unique_ptr<Journal>> journal = Journal::open(journalPath, start);
  NYSJIT_RETURN_IF_ERROR(journal);
  ProgressLine silent(nullptr);
  return tuneSpecs({file, "t.json", "0", "0.1.0"}, fakeLabs(world), **journal, silent);
}

/// What the tune writes to configs.json.
std::string configs(const Result<TuneReport> &report) {
  if (!report)
    return report.error().message;
  ConfigsFile file;
  for (const SpecReport &one : report->specs)
    file.entries.push_back(one.entry);
  return configsText(file);
}

/// How often the groups of each part were measured to their end, at most.
int measurements(const std::string &journalPath) {
  const Result<std::vector<Json>> lines = readJournal(readAll(journalPath), journalPath);
  EXPECT_TRUE(lines.ok());
  std::map<std::string, int> counts;
  std::string part;
  int most = 0;
  for (const Json &line : *lines) {
    if (line["kind"].text() == "session")
      part = line["device"].dump();
    if (line["kind"].text() == "group")
      most = std::max(most, ++counts[part + line["group"].text()]);
  }
  return most;
}

class Resume : public testing::Test {
protected:
  void SetUp() override {
    FakeWorld world = someWorld();
    undisturbed = configs(tuned(world, twoParts(), folder / "whole.jsonl"));
    runs = world.runs;
    ASSERT_NE(undisturbed.find("faster"), std::string::npos) << undisturbed;
  }
  TemporaryFolder folder;
  std::string undisturbed;
  int runs = 0;
};

TEST_F(Resume, AfterAKillAtAnyMomentTheResultIsTheSame) {
  const unsigned seed = 20261128;
  std::mt19937 random(seed);
  for (int i = 0; i < 50; ++i) {
    FakeWorld world = someWorld();
    world.killAtRun = 1 + int(random() % unsigned(runs));
    const std::string path = folder / ("killed" + std::to_string(i) + ".jsonl");
    ASSERT_EQ(inChildStatus([&] {
                (void)tuned(world, twoParts(), path);
                return 0;
              }),
              128 + SIGKILL);
    FakeWorld after = someWorld();
    EXPECT_EQ(configs(tuned(after, twoParts(), path)), undisturbed)
        << "killed at run " << world.killAtRun << " of " << runs;
    EXPECT_EQ(measurements(path), 1) << "killed at run " << world.killAtRun;
  }
}

TEST_F(Resume, AJournalCutAtAnyByteGivesTheSame) {
  const std::string whole = readAll(folder / "whole.jsonl");
  const unsigned seed = 77;
  std::mt19937 random(seed);
  for (int i = 0; i < 50; ++i) {
    const size_t size = random() % whole.size();
    const std::string path = folder / "cut.jsonl";
    writeAll(path, whole.substr(0, size));
    FakeWorld world = someWorld();
    EXPECT_EQ(configs(tuned(world, twoParts(), path)), undisturbed)
        << "cut at byte " << size << " of " << whole.size() << ", seed " << seed;
  }
}

TEST_F(Resume, NothingThatIsFinishedIsTimedAgain) {
  const std::string whole = readAll(folder / "whole.jsonl");
  // All of the first part, and of the second what stands before its comparison.
  const size_t done = whole.find("\"kind\":\"done\"");
  const size_t groups = whole.rfind("\"kind\":\"group\"");
  ASSERT_LT(done, groups);
  const size_t end = whole.find('\n', groups) + 1;
  writeAll(folder / "cut.jsonl", whole.substr(0, end));
  FakeWorld world = someWorld();
  EXPECT_EQ(configs(tuned(world, twoParts(), folder / "cut.jsonl")), undisturbed);
  EXPECT_TRUE(world.timings.empty());
  EXPECT_EQ(world.compiled.size(), 2u); // the default and the choice
  EXPECT_GT(world.runs, 0);             // the comparison
  // A comparison that was made is not made again.
  writeAll(folder / "verified.jsonl",
           whole.substr(0, whole.rfind("\n", whole.rfind("\"done\"")) + 1));
  FakeWorld verified = someWorld();
  EXPECT_EQ(configs(tuned(verified, twoParts(), folder / "verified.jsonl")), undisturbed);
  EXPECT_EQ(verified.runs, 1); // that the default runs
  // And of a whole one nothing at all.
  FakeWorld again = someWorld();
  Result<TuneReport> report = tuned(again, twoParts(), folder / "cut.jsonl");
  EXPECT_EQ(configs(report), undisturbed);
  EXPECT_EQ(again.runs, 0);
  EXPECT_TRUE(again.compiled.empty());
  EXPECT_TRUE(report->specs[0].isFromJournal);
}

TEST_F(Resume, AfterAFullDiskTheResultIsTheSame) {
  for (const size_t limit : {100u, 3000u, 9000u, 20000u}) {
    const std::string path = folder / ("full" + std::to_string(limit) + ".jsonl");
    EXPECT_EQ(inChild([&] {
                const rlimit most = {limit, limit};
                setrlimit(RLIMIT_FSIZE, &most);
                FakeWorld world = someWorld();
                Result<TuneReport> report = tuned(world, twoParts(), path);
                return !report && report.error().kind == ErrorKind::Io;
              }),
              0)
        << limit;
    FakeWorld after = someWorld();
    EXPECT_EQ(configs(tuned(after, twoParts(), path)), undisturbed) << limit;
  }
}

TEST_F(Resume, OneValueMoreMeasuresWhatIsNew) {
  const std::string path = folder / "more.jsonl";
  const std::string lists =
      R"(, "parameters": {"landmark_target": {}, "landmark_solve": {}, "causal_output":
          {"block_n": [16, 64], "block_m": [32, 64)";
  FakeWorld world = someWorld();
  Result<TuneReport> before = tuned(world, fakeTune(lists + "]}}"), path);
  ASSERT_TRUE(before.ok()) << before.error().message;
  EXPECT_EQ(before->specs[0].entry.config.kernels.at("causal_output").blockM, 32);
  // 128x16 is the best of what is new; 32x16, which is known, is better.
  FakeWorld after = someWorld();
  after.factors["causal_output"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 32 && block.blockN == 16 ? 9.0 : block.blockM == 128 ? 0.8 : 1.0;
  };
  Result<TuneReport> more = tuned(after, fakeTune(lists + ", 128]}}"), path);
  ASSERT_TRUE(more.ok()) << more.error().message;
  EXPECT_EQ(after.timings.size(), 3u); // 128x16, 128x64, the default
  for (const auto &[config, count] : after.timings)
    EXPECT_EQ(config.find("\"block_m\":32"), std::string::npos) << config;
  EXPECT_EQ(more->specs[0].entry.config, before->specs[0].entry.config);
  EXPECT_FALSE(more->specs[0].isFromJournal);
  // A value less measures nothing.
  FakeWorld less = someWorld();
  EXPECT_TRUE(tuned(less, fakeTune(lists + "]}}"), path).ok());
  EXPECT_TRUE(less.timings.empty());
}

TEST_F(Resume, AnotherFileBuildOrDeviceIsRefused) {
  const std::string path = folder / "whole.jsonl";
  const std::string whole = readAll(path);
  FakeWorld world = someWorld();
  const auto expectRefused = [&](const TuneFile &file, const char *what) {
    Result<TuneReport> report = tuned(world, file, path);
    ASSERT_FALSE(report.ok()) << what;
    EXPECT_EQ(report.error().kind, ErrorKind::Unavailable);
    EXPECT_NE(report.error().message.find(what), std::string::npos) << report.error().message;
    EXPECT_NE(report.error().message.find("--restart"), std::string::npos);
    EXPECT_EQ(readAll(path), whole);
  };
  expectRefused(fakeTune(R"(, "threads": [1, 2], "measure": {"rounds": 8})"), "measure");
  world.compiler = "build-id 2";
  expectRefused(twoParts(), "compiler");
  Result<TuneReport> anew = tuned(world, twoParts(), path, JournalStart::Restart);
  EXPECT_TRUE(anew.ok());
}

} // namespace
