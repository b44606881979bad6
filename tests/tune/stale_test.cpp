// What another build won is found, and tuned again as it was.
#include "runtime/tune/stale.h"
#include "tests/runtime/in_child.h"
#include "tests/runtime/temporary_folder.h"
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <csignal>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

FakeWorld someWorld(const std::string &compiler) {
  FakeWorld world{.compiler = compiler};
  world.factors["causal_output"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 32 && block.blockN == 16 ? 0.5 : 1.0;
  };
  return world;
}

/// Two numbers of threads, as the build tuned them.
ConfigsFile tunedBy(const std::string &compiler, const std::string &more = "") {
  FakeWorld world = someWorld(compiler);
  Result<TuneReport> report = tuned(world, fakeTune(R"(, "threads": [1, 2])" + more));
  EXPECT_TRUE(report.ok()) << (report ? "" : report.error().message);
  ConfigsFile file;
  for (const SpecReport &one : report->specs)
    mergeConfigs(file, {{one.entry}});
  return file;
}

Result<StaleConfigs> find(const ConfigsFile &configs, const std::string &compiler,
                          const std::string &device = "cpu") {
  FakeWorld world{.compiler = compiler};
  return findStale(configs, device, [&](const TuneFile &file) -> Result<Place> {
    return FakeLab(world, file.threads.front()).place();
  });
}

TEST(Stale, AnEntryOfAnotherBuildIsTunedForItsThreadsAndShapes) {
  const ConfigsFile configs = tunedBy("build-id 1");
  Result<StaleConfigs> stale = find(configs, "build-id 2");
  ASSERT_TRUE(stale.ok()) << stale.error().message;
  ASSERT_EQ(stale->parts.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    const TuneFile &file = stale->parts[size_t(i)].file;
    EXPECT_EQ(file.threads, std::vector<int>{i + 1});
    EXPECT_EQ(file.shapes, fakeTune().shapes);
    ASSERT_EQ(file.specs.size(), 1u);
    EXPECT_EQ(canonicalJson(file.specs[0]), canonicalJson(fakeTune().specs[0]));
    EXPECT_EQ(file.device, "cpu");
    EXPECT_EQ(targetName(*file.target), "cpu:native");
  }
  EXPECT_TRUE(stale->left.empty());
  EXPECT_EQ(stale->current + stale->elsewhere, 0u);
  // This build's are no stale ones, whatever others there are.
  ConfigsFile both = tunedBy("build-id 2");
  mergeConfigs(both, configs);
  stale = find(both, "build-id 2");
  EXPECT_TRUE(stale->parts.empty());
  EXPECT_EQ(stale->current, 2u);
}

TEST(Stale, AnEntryThatSaysDefaultIsTunedAgainToo) {
  ConfigsFile configs = tunedBy("build-id 1", R"(, "measure": {"min_gain": 0.5})");
  for (TunedConfig &entry : configs.entries)
    ASSERT_EQ(entry.config, KernelConfig());
  EXPECT_EQ(find(configs, "build-id 2")->parts.size(), 2u);
}

TEST(Stale, OfSeveralBuildsTheNewestCounts) {
  ConfigsFile configs = tunedBy("build-id 1");
  ConfigsFile newer = tunedBy("build-id 2");
  for (TunedConfig &entry : newer.entries) {
    entry.tuned["date"] = "2027-01-01T00:00:00Z";
    entry.tuned["shapes"] = Json::array({{{"length", 100}, {"heads", 3}, {"weight", 2.5}}});
  }
  mergeConfigs(configs, newer);
  Result<StaleConfigs> stale = find(configs, "build-id 3");
  ASSERT_EQ(stale->parts.size(), 2u);
  for (const StalePart &part : stale->parts) {
    ASSERT_EQ(part.file.shapes.size(), 1u);
    EXPECT_EQ(part.file.shapes[0].length, 100);
    EXPECT_EQ(part.file.shapes[0].heads, 3);
    EXPECT_EQ(part.file.shapes[0].weight, 2.5);
  }
}

TEST(Stale, OtherMachinesTargetsAndDevicesAreLeftAlone) {
  ConfigsFile configs = tunedBy("build-id 1");
  configs.entries[0].device["vendor"] = "Other";
  configs.entries[1].device["kind"] = "ptx-emulator";
  Result<StaleConfigs> stale = find(configs, "build-id 2");
  ASSERT_TRUE(stale.ok());
  EXPECT_TRUE(stale->parts.empty() && stale->left.empty());
  EXPECT_EQ(stale->elsewhere, 2u);
}

TEST(Stale, WithoutShapesOrWithWrongOnesItIsNamedAndLeft) {
  ConfigsFile configs = tunedBy("build-id 1");
  configs.entries[0].tuned.erase("shapes");
  configs.entries[1].tuned["shapes"] = Json::array({{{"length", 0}}});
  Result<StaleConfigs> stale = find(configs, "build-id 2");
  ASSERT_TRUE(stale.ok());
  EXPECT_TRUE(stale->parts.empty());
  ASSERT_EQ(stale->left.size(), 2u);
  EXPECT_NE(stale->left[0].why.find("tuned.shapes"), std::string::npos);
  EXPECT_NE(stale->left[1].why.find("tuned.shapes[0].length"), std::string::npos)
      << stale->left[1].why;
  for (const Json &other : {Json(), Json("n"), Json::array(), Json::array({1})}) {
    configs.entries[0].tuned["shapes"] = other;
    EXPECT_EQ(find(configs, "build-id 2")->left.size(), 2u) << other.dump();
  }
}

TEST(Stale, ShapesOfEveryKindAreReadBack) {
  for (const char *text :
       {R"({"specs": [{"layout": "causal", "head_dim": 64, "landmarks": 256, "segment_len": 64}],
            "shapes": [{"sequences": [5, 7], "heads": 4, "kv_heads": 2, "weight": 3}]})",
        R"({"specs": [{"layout": "prefix_lm", "head_dim": 64, "landmarks": 64}],
            "shapes": [{"length": 12, "source_len": 5, "batch": 2},
                       {"length": 12, "source_len": 0}]})"}) {
    Result<TuneFile> file = parseTuneFile(text, ".");
    ASSERT_TRUE(file.ok()) << file.error().message;
    FakeWorld world = someWorld("build-id 1");
    Result<TuneReport> report = tuned(world, *file);
    ASSERT_TRUE(report.ok()) << report.error().message;
    Result<StaleConfigs> stale = find({{report->specs[0].entry}}, "build-id 2");
    ASSERT_TRUE(stale.ok()) << stale.error().message;
    ASSERT_EQ(stale->parts.size(), 1u) << stale->left.at(0).why;
    EXPECT_EQ(stale->parts[0].file.shapes, file->shapes);
  }
}

TEST(Stale, APlaceThatCannotBeHadIsAnErrorOnTheCpuAndAReasonElsewhere) {
  ConfigsFile configs = tunedBy("build-id 1");
  const PlaceMaker none = [](const TuneFile &) -> Result<Place> {
    return Error::plain(ErrorKind::Unavailable, "compiler", "compiler: there is none");
  };
  Result<StaleConfigs> stale = findStale(configs, "cpu", none);
  ASSERT_FALSE(stale.ok());
  EXPECT_EQ(stale.error().where, "compiler");
  for (TunedConfig &entry : configs.entries) {
    entry.device = {{"kind", "cuda"}, {"memory_gib", entry.device["threads"]}};
    entry.target = "cuda:sm_90";
  }
  stale = findStale(configs, "cuda", none);
  ASSERT_TRUE(stale.ok());
  ASSERT_EQ(stale->left.size(), 2u);
  EXPECT_EQ(stale->left[0].why, "compiler: there is none");
}

/// What a tune of all parts writes down.
std::string tunedAgain(FakeWorld &world, const StaleConfigs &stale, const std::string &path) {
  std::vector<TunePart> parts;
  for (const StalePart &part : stale.parts)
    parts.push_back({{part.file, "configs.json", "0", "0.1.0", true}, fakeLabs(world)});
  Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::Resume);
  if (!journal)
    return journal.error().message;
  ProgressLine silent(nullptr);
  Result<std::vector<TuneReport>> reports = tuneParts(parts, **journal, silent);
  if (!reports)
    return reports.error().message;
  ConfigsFile file;
  for (const TuneReport &report : *reports)
    for (const SpecReport &one : report.specs)
      mergeConfigs(file, {{one.entry}});
  return configsText(file);
}

TEST(Stale, PartsOfOtherShapesShareAJournalAndAKillCostsNoFinishedOne) {
  ConfigsFile configs = tunedBy("build-id 1");
  configs.entries[0].tuned["shapes"] = Json::array({{{"length", 100}}});
  Result<StaleConfigs> stale = find(configs, "build-id 2");
  ASSERT_EQ(stale->parts.size(), 2u);
  TemporaryFolder folder;
  FakeWorld whole = someWorld("build-id 2");
  const std::string undisturbed = tunedAgain(whole, *stale, folder / "whole.jsonl");
  EXPECT_NE(undisturbed.find("faster"), std::string::npos) << undisturbed;
  for (int i = 1; i < 10; ++i) {
    const std::string path = folder / ("killed" + std::to_string(i) + ".jsonl");
    FakeWorld world = someWorld("build-id 2");
    world.killAtRun = whole.runs * i / 10;
    ASSERT_EQ(inChildStatus([&] {
                (void)tunedAgain(world, *stale, path);
                return 0;
              }),
              128 + SIGKILL);
    FakeWorld after = someWorld("build-id 2");
    EXPECT_EQ(tunedAgain(after, *stale, path), undisturbed) << i;
    if (i == 9) {
      EXPECT_LT(after.runs, whole.runs); // the first part's are in the journal
    }
  }
  // What was written down is no stale entry any more.
  Result<ConfigsFile> written = parseConfigsFile(std::string_view(undisturbed));
  ASSERT_TRUE(written.ok()) << undisturbed;
  mergeConfigs(configs, *written);
  EXPECT_TRUE(find(configs, "build-id 2")->parts.empty());
}

} // namespace
