// What the tuner concludes, with times that are planted.
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

/// The config of the one entry that a tune with this seed wrote.
KernelConfig configOf(FakeWorld &world, const TuneFile &file) {
  Result<TuneReport> report = tuned(world, file);
  EXPECT_TRUE(report.ok()) << (report ? "" : report.error().message);
  return report ? report->specs.front().entry.config : KernelConfig();
}

FakeWorld::Factor fastAt(int m, int n, double factor, double others = 1.2) {
  return [=](const BlockConfig &block, size_t, int) {
    if (block.blockM == m && block.blockN == n)
      return factor;
    return block.blockM == 64 && block.blockN == 64 ? 1.0 : others;
  };
}

const CandidateReport *candidateOf(const SpecReport &report, const std::string &group,
                                   const std::string &blocks) {
  for (const GroupReport &each : report.groups)
    for (const CandidateReport &one : each.candidates)
      if (each.group.name == group && blocksText(one.candidate.blocks) == blocks)
        return &one;
  return nullptr;
}

TEST(Tuner, TheSameCodeUnderAnotherNameIsRefused) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    FakeWorld world{.noise = 0.05, .seed = seed}; // all candidates are as fast as the default
    Result<TuneReport> report = tuned(world, fakeTune());
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->specs[0].entry.config, KernelConfig()) << seed;
    EXPECT_EQ(report->specs[0].entry.tuned["verdict"].text(), "default");
  }
}

TEST(Tuner, AGainOfFivePercentIsFound) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.8)}}, .seed = seed};
    // 0.8 of one of four kernels that take the same time: 0.95 of all.
    const KernelConfig config = configOf(world, fakeTune());
    ASSERT_TRUE(config.kernels.contains("causal_output")) << seed;
    EXPECT_EQ(config.kernels.at("causal_output"), (BlockConfig{.blockM = 32, .blockN = 64}));
    EXPECT_EQ(config.kernels.at("landmark_solve"), (BlockConfig{.blockM = 64})) << "complete";
  }
}

TEST(Tuner, GainsOfGroupsThatArePackedTogetherAreFoundTogether) {
  FakeWorld world{.factors = {{"causal_output", fastAt(16, 16, 0.7)},
                              {"landmark_target", fastAt(16, 32, 0.5)},
                              {"landmark_solve", [](const BlockConfig &block, size_t, int) {
                                 return block.blockM == 16 ? 0.6 : 1.0;
                               }}}};
  const KernelConfig config = configOf(world, fakeTune());
  EXPECT_EQ(canonicalJson(config),
            R"({"causal_output":{"block_m":16,"block_n":16},"landmark_solve":{"block_m":16},)"
            R"("landmark_target":{"block_m":16,"block_n":32,"split":0}})");
}

TEST(Tuner, AGroupsTimeIsThatOfAllItsKernels) {
  FakeWorld world{.factors = {{"landmark_target", fastAt(64, 16, 0.7, 1.0)}}};
  Result<TuneReport> report = tuned(world, fakeTune());
  EXPECT_NEAR(candidateOf(report->specs[0], "landmark_target", "64x16")->ratio, 1.7 / 2, 0.05);
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("landmark_target").blockN, 16);
  // What landmark_target gains with blocks of 16 columns the summary loses twice.
  world.factors["segment_summary"] = fastAt(64, 16, 1.6, 1.0);
  report = tuned(world, fakeTune());
  EXPECT_NEAR(candidateOf(report->specs[0], "landmark_target", "64x16")->ratio, 2.3 / 2, 0.05);
  EXPECT_EQ(report->specs[0].entry.config, KernelConfig());
}

TEST(Tuner, AWrongResultIsCaught) {
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.5)}}};
  world.isWrong = [](const KernelConfig &config) {
    const auto block = config.kernels.find("causal_output");
    return block != config.kernels.end() && block->second.blockM == 32;
  };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->specs[0].entry.config, KernelConfig());
  ASSERT_EQ(report->wrong.size(), 3u); // 32x16, 32x32, 32x64
  EXPECT_NE(report->wrong[0].find("causal_output 32x"), std::string::npos);
  // Others that were in the same programs are not to blame.
  const CandidateReport *other = candidateOf(report->specs[0], "landmark_target", "32x64");
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->candidate.invalidity, "");
  EXPECT_FALSE(other->ratios.empty());
  // Without the check it wins.
  EXPECT_NE(configOf(world, fakeTune(R"(, "check": false)")), KernelConfig());
}

TEST(Tuner, ASlowStartOfTheMachineDoesNotMakeAWinner) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    FakeWorld world{.noise = 0.05, .seed = seed};
    world.slowness = [](int run) { return run < 60 ? 4.0 - run / 20.0 : 1.0; };
    EXPECT_EQ(configOf(world, fakeTune()), KernelConfig()) << seed;
  }
}

TEST(Tuner, ADefaultThatStartsSlowlyIsNotBeatenByThat) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    FakeWorld world{.noise = 0.05, .seed = seed};
    world.factors["causal_output"] = [](const BlockConfig &block, size_t, int run) {
      return block.blockM == 64 && block.blockN == 64 && run < 5 ? 3.0 : 1.0;
    };
    EXPECT_EQ(configOf(world, fakeTune()), KernelConfig()) << seed;
  }
}

TEST(Tuner, NoArmHasAPlaceOfItsOwnInTheRounds) {
  // The last of the ten runs of a round at a shape is always twice as fast.
  FakeWorld world;
  world.slowness = [](int run) { return run % 10 == 9 ? 0.5 : 1.0; };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const GroupReport &group : report->specs[0].groups)
    for (const CandidateReport &one : group.candidates)
      EXPECT_NEAR(one.ratio, 1, 0.2) << blocksText(one.candidate.blocks);
}

TEST(Tuner, ACandidateThatIsFastOnlyAtFirstDoesNotWin) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    FakeWorld world{.seed = seed};
    world.factors["causal_output"] = [](const BlockConfig &block, size_t, int run) {
      return block.blockM == 64 && block.blockN == 64 ? 1.0 : run < 5 ? 0.5 : 1.1;
    };
    EXPECT_EQ(configOf(world, fakeTune()), KernelConfig()) << seed;
  }
}

TEST(Tuner, WhatIsSlowerAtOneShapeIsRefused) {
  FakeWorld world;
  world.factors["causal_output"] = [](const BlockConfig &block, size_t shape, int) {
    return block.blockM == 64 && block.blockN == 64 ? 1.0 : shape == 0 ? 0.4 : 1.3;
  };
  EXPECT_EQ(configOf(world, fakeTune()), KernelConfig());
}

TEST(Tuner, ARefusedGroupIsLeftOutAndTheRestKept) {
  FakeWorld world{.factors = {{"landmark_target", fastAt(16, 32, 0.3)}}};
  // What this gains in screening it loses in the comparison.
  world.factors["causal_output"] = [&](const BlockConfig &block, size_t, int) {
    if (block.blockM != 16 || block.blockN != 64)
      return 1.0;
    return world.series.starts_with("verify") ? 3.0 : 0.85;
  };
  const KernelConfig config = configOf(world, fakeTune());
  ASSERT_TRUE(config.kernels.contains("landmark_target"));
  EXPECT_EQ(config.kernels.at("landmark_target").blockM, 16);
  EXPECT_EQ(config.kernels.at("causal_output"), (BlockConfig{.blockM = 64, .blockN = 64}));
}

TEST(Tuner, AGainBelowTheLeastIsRefused) {
  // 0.96 of one of four kernels: 0.99 of all, which the pairs tell apart.
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.96)}}, .noise = 0.001};
  EXPECT_EQ(configOf(world, fakeTune()), KernelConfig());
  EXPECT_NE(configOf(world, fakeTune(R"(, "measure": {"min_gain": 0})")), KernelConfig());
}

TEST(Tuner, WeightsDecideBetweenShapes) {
  FakeWorld world;
  world.factors["causal_output"] = [](const BlockConfig &block, size_t shape, int) {
    if (block.blockM == 16 && block.blockN == 16)
      return shape == 0 ? 0.5 : 0.9;
    if (block.blockM == 32 && block.blockN == 32)
      return shape == 0 ? 0.9 : 0.5;
    return 1.0;
  };
  TuneFile file = fakeTune();
  for (const size_t heavy : {0, 1}) {
    file.shapes[heavy].weight = 10;
    file.shapes[1 - heavy].weight = 1;
    EXPECT_EQ(configOf(world, file).kernels.at("causal_output").blockM, heavy == 0 ? 16 : 32);
  }
}

TEST(Tuner, WhatIsFarBehindIsDroppedEarly) {
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.5)}}};
  const TuneFile file =
      fakeTune(R"(, "parameters": {"landmark_target": {}, "landmark_solve": {}})");
  Result<TuneReport> report = tuned(world, file);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->specs[0].rounds, 8); // no other leads than after four
  for (const auto &[config, count] : world.timings) {
    const KernelConfig own = *parseKernelConfig(std::string_view(config));
    const BlockConfig &block = own.kernels.at("causal_output");
    const bool isKept = block == BlockConfig{.blockM = 32, .blockN = 64};
    const bool isDefault = block == BlockConfig{.blockM = 64, .blockN = 64};
    // At two shapes, once unmeasured.
    EXPECT_EQ(count, isDefault ? 2 * 2 * 9 : isKept ? 2 * 9 : 2 * 5) << config;
  }
}

TEST(Tuner, TheClockIsTheWallsWhereThatIsQuiet) {
  FakeWorld quiet{.noise = 0.01};
  EXPECT_EQ(tuned(quiet, fakeTune())->specs[0].clock, "wall");
  FakeWorld loud{.noise = 0.1};
  EXPECT_EQ(tuned(loud, fakeTune())->specs[0].clock, "cpu");
  EXPECT_EQ(tuned(loud, fakeTune(R"(, "measure": {"clock": "wall"})"))->specs[0].clock, "wall");
}

TEST(Tuner, AProgramThatDoesNotCompileIsTakenApart) {
  FakeWorld world{.factors = {{"landmark_target", fastAt(32, 64, 0.5)}}};
  world.failsToCompile = [](const KernelConfig &config) {
    return config.kernels.at("causal_output").blockM == 32;
  };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(candidateOf(report->specs[0], "causal_output", "32x64")->candidate.invalidity,
            "compile");
  EXPECT_EQ(candidateOf(report->specs[0], "causal_output", "32x64")->candidate.reason,
            "compiler: planted");
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("landmark_target").blockM, 32);
  EXPECT_TRUE(report->wrong.empty());
}

TEST(Tuner, WhatFailsWithoutTheDefaultSaysSo) {
  FakeWorld world;
  world.failsToCompile = [](const KernelConfig &) { return true; };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::CompileFailed);
  EXPECT_EQ(report.error().where, "default");
  const std::string defaults =
      canonicalJson(KernelConfig{{{"causal_output", {.blockM = 64, .blockN = 64}},
                                  {"landmark_solve", {.blockM = 64}},
                                  {"landmark_target", {.blockM = 64, .blockN = 64, .split = 0}}}});
  world.failsToCompile = [&](const KernelConfig &config) {
    return canonicalJson(config) != defaults;
  };
  report = tuned(world, fakeTune());
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("every candidate failed"), std::string::npos);
  EXPECT_NE(report.error().message.find("planted"), std::string::npos);
}

TEST(Tuner, ScratchBeyondTheL2IsNotTimed) {
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.5)}},
                  .scratchBytes = {{"causal_output 32x64", 1001}, {"causal_output 16x64", 1000}},
                  .l2Bytes = 1000};
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  const CandidateReport *large = candidateOf(report->specs[0], "causal_output", "32x64");
  EXPECT_EQ(large->candidate.invalidity, "constraints");
  EXPECT_TRUE(large->ratios.empty());
  EXPECT_FALSE(candidateOf(report->specs[0], "causal_output", "16x64")->ratios.empty());
  EXPECT_EQ(report->specs[0].entry.config, KernelConfig());
}

TEST(Tuner, WhatIsTiedGoesToTheLeastScratch) {
  const auto factor = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 64 && block.blockN == 64 ? 1.0 : 0.5;
  };
  FakeWorld world{.factors = {{"causal_output", factor}}, .noise = 0.001};
  for (const int m : {16, 32, 64})
    for (const int n : {16, 32, 64})
      world.scratchBytes["causal_output " + std::to_string(m) + "x" + std::to_string(n)] =
          m == 32 && n == 16 ? 10 : 20;
  EXPECT_EQ(configOf(world, fakeTune()).kernels.at("causal_output"),
            (BlockConfig{.blockM = 32, .blockN = 16}));
}

TEST(Tuner, ConfigurationsLimitTheProgramsAndKeepThoseNearTheDefault) {
  FakeWorld world;
  Result<TuneReport> report = tuned(world, fakeTune(R"(, "budget": {"configurations": 2})"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(world.compiled.size(), 3u); // and the default
  EXPECT_FALSE(candidateOf(report->specs[0], "causal_output", "64x32")->ratios.empty());
  EXPECT_TRUE(candidateOf(report->specs[0], "causal_output", "16x16")->ratios.empty());
}

TEST(Tuner, ABudgetThatIsUsedUpSaysHowToGoOn) {
  FakeWorld world;
  Result<TuneReport> report = tuned(world, fakeTune(R"(, "budget": {"seconds": 1})"));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(report.error().where, "budget.seconds");
  EXPECT_NE(report.error().message.find("--resume"), std::string::npos);
}

TEST(Tuner, ASmallBudgetTimesTheProgramsNearTheDefault) {
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.5)}}};
  // 10 compiles of 0.2 s; a round of 10 arms of 20 ms takes 0.2 s.
  Result<TuneReport> report = tuned(world, fakeTune(R"(, "budget": {"seconds": 3.4})"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_LE(report->seconds, 3.4);
  // One unmeasured run and one round at both shapes is all that the far ones had.
  EXPECT_LE(
      std::ranges::count_if(world.timings, [](const auto &timing) { return timing.second > 4; }),
      8); // with the default; all are 9
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("causal_output").blockM, 32);
}

TEST(Tuner, TheUsersEndIsACancellation) {
  FakeWorld world{.endAtRun = 50};
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::Cancelled);
}

TEST(Tuner, EachNumberOfThreadsAndSpecHasItsEntry) {
  FakeWorld world{.factors = {{"causal_output", fastAt(32, 64, 0.5)}}};
  Result<TuneReport> report = tuned(world, fakeTune(R"(, "threads": [1, 2])"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->specs.size(), 2u);
  EXPECT_EQ(report->specs[0].entry.device["threads"].get<int>(), 1);
  EXPECT_EQ(report->specs[1].entry.device["threads"].get<int>(), 2);
  EXPECT_NE(report->specs[0].entry.key(), report->specs[1].entry.key());
}

TEST(Tuner, NothingToTryLeavesTheDefault) {
  FakeWorld world;
  const TuneFile file = fakeTune(
      R"(, "parameters": {"causal_output": {}, "landmark_solve": {}, "landmark_target": {}})");
  EXPECT_EQ(configOf(world, file), KernelConfig());
  EXPECT_TRUE(world.timings.empty());
}

} // namespace
