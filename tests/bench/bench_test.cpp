// What a bench concludes, with times that are planted (tests/tune/fake_lab.h).
#include "runtime/bench/bench.h"
#include "runtime/bench/others.h"
#include "runtime/bench/report.h"
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <set>

using namespace nysjit;
using namespace nysjit::bench;

namespace {

KernelConfig rowsOf(int blockM) { return {{{"causal_output", {.blockM = blockM, .blockN = 64}}}}; }

/// Blocks of 32 rows take that much of the default's time, in all.
tune::FakeWorld worldWhere(double ratio, uint64_t seed, double noise = 0.03) {
  tune::FakeWorld world{.noise = noise, .seed = seed};
  world.factors["causal_output"] = [ratio](const BlockConfig &block, size_t, int) {
    return block.blockM == 32 ? 1 - 4 * (1 - ratio) : 1; // one of four kernels
  };
  return world;
}

BenchRequest requestOf(const std::vector<KernelConfig> &configs) {
  const tune::TuneFile file = tune::fakeTune();
  BenchRequest request{.shapes = file.shapes};
  for (const KernelConfig &config : configs)
    request.contenders.push_back({"causal.json", file.specs.front(), config, "given"});
  return request;
}

Result<BenchReport> benched(tune::FakeWorld &world, const BenchRequest &request) {
  tune::ProgressLine silent(nullptr);
  return bench::bench(request, tune::fakeLabs(world), silent);
}

/// The verdicts at both sizes of the first config against the second.
std::multiset<std::string> verdicts(tune::FakeWorld world, const KernelConfig &first,
                                    const KernelConfig &second) {
  Result<BenchReport> report = benched(world, requestOf({first, second}));
  EXPECT_TRUE(report.ok()) << (report ? "" : report.error().message);
  std::multiset<std::string> names;
  for (const SizeReport &size : report->sizes)
    names.insert(verdictName(size.comparison->verdict));
  return names;
}

TEST(Bench, ADifferenceOfTenPercentIsFound) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(verdicts(worldWhere(0.9, seed), rowsOf(32), {}).count("FAST"), 2u) << seed;
    EXPECT_EQ(verdicts(worldWhere(0.9, seed), {}, rowsOf(32)).count("SLOW"), 2u) << seed;
  }
}

TEST(Bench, TheSameProgramUnderTwoNamesIsNeitherFastNorSlow) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    EXPECT_EQ(verdicts(worldWhere(1, seed, 0.005), rowsOf(32), {}).count("SAME"), 2u) << seed;
    const std::multiset<std::string> noisy = verdicts(worldWhere(1, seed, 0.1), rowsOf(32), {});
    EXPECT_EQ(noisy.count("SAME") + noisy.count("UNDECIDED"), 2u) << seed;
    EXPECT_EQ(verdicts(worldWhere(1, seed, 0.5), rowsOf(32), {}).count("UNDECIDED"), 2u) << seed;
  }
}

TEST(Bench, NoProgramHasAPlaceOfItsOwnInTheRounds) {
  // Every second run is twice as fast.
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    tune::FakeWorld world = worldWhere(1, seed);
    world.slowness = [](int run) { return run % 2 ? 0.5 : 1.0; };
    EXPECT_EQ(verdicts(world, rowsOf(32), {}).count("UNDECIDED"), 2u) << seed;
  }
}

TEST(Bench, AMachineThatSlowsDownHitsBoth) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    tune::FakeWorld world = worldWhere(0.9, seed);
    world.slowness = [](int run) { return 1 + run / 50.0; };
    EXPECT_EQ(verdicts(world, rowsOf(32), {}).count("FAST"), 2u) << seed;
  }
}

TEST(Bench, OutputsThatDifferAreAnError) {
  tune::FakeWorld world;
  world.isWrong = [](const KernelConfig &config) { return !config.kernels.empty(); };
  Result<BenchReport> report = benched(world, requestOf({{}, rowsOf(32)}));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::CheckFailed);
}

TEST(Bench, ItsEndIsHeard) {
  tune::FakeWorld world{.endAtRun = 7};
  Result<BenchReport> report = benched(world, requestOf({{}}));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::Cancelled);
}

TEST(Bench, TimeThatIsShortCutsRoundsAndSaysSo) {
  // A round takes 4 ms and 16 ms: 40 rounds with a visit's unmeasured run 0.19 s and 0.77 s.
  tune::FakeWorld world;
  BenchRequest request = requestOf({{}});
  request.seconds = 0.5;
  Result<BenchReport> report = benched(world, request);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->sizes.size(), 2u);
  EXPECT_EQ(report->sizes[0].rounds, 40);
  EXPECT_NEAR(report->sizes[1].rounds, 15, 3) << "0.3 s are left";
  ASSERT_EQ(report->notes.size(), 1u);
  EXPECT_NE(report->notes[0].find("n 2048, 8 heads"), std::string::npos) << report->notes[0];
  EXPECT_LT(report->seconds, 0.2 + 0.6) << "with a compile";
}

TEST(Bench, ASizeThatTheTimeIsNotEnoughForIsLeftOut) {
  tune::FakeWorld world;
  BenchRequest request = requestOf({{}, rowsOf(32)});
  request.seconds = 0.1;
  Result<BenchReport> report = benched(world, request);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->sizes.size(), 1u);
  EXPECT_GE(report->sizes[0].rounds, 10) << "enough for a verdict";
  ASSERT_EQ(report->notes.size(), 2u);
  EXPECT_TRUE(report->notes[0].starts_with("n 2048, 8 heads was left out")) << report->notes[0];
}

TEST(Bench, TheRoofIsTheSlowerOfProductsAndCopies) {
  const Rates rates{.copyGbS = 10, .productGflopS = 100};
  EXPECT_EQ(roofOf({.flops = 2e9, .bytes = 1e8}, rates).ms, 20);
  EXPECT_TRUE(roofOf({.flops = 2e9, .bytes = 1e8}, rates).isByProducts);
  EXPECT_EQ(roofOf({.flops = 1e9, .bytes = 2e8}, rates).ms, 20);
  EXPECT_FALSE(roofOf({.flops = 1e9, .bytes = 2e8}, rates).isByProducts);
}

TEST(Bench, TheReportHasEveryNumber) {
  tune::FakeWorld world = worldWhere(0.9, 1, 0);
  BenchRequest request = requestOf({rowsOf(32), {}});
  int takes = 0;
  request.takeRates = [&]() -> Result<Rates> {
    ++takes;
    return Rates{.copyGbS = takes == 1 ? 30.0 : 20.0, .productGflopS = 200, .vectorBits = 512};
  };
  Result<BenchReport> report = benched(world, request);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(takes, 2);
  const Json object = reportObject(*report);
  EXPECT_EQ(object["rates"]["copy_gb_s"].get<double>(), 30) << "the better of two";
  const Json &size = object["sizes"][size_t(1)];
  EXPECT_EQ(size["length"].get<int>(), 2048);
  EXPECT_EQ(size["rounds"].get<int>(), 40);
  EXPECT_EQ(size["verdict"].text(), "FAST");
  EXPECT_NEAR(size["ratio"].get<double>(), 0.9, 1e-9);
  const Json &first = size["contenders"][size_t(0)];
  EXPECT_NEAR(first["ms"].get<double>(), 16 * 0.9, 1e-9);
  EXPECT_NEAR(first["ms_quartiles"][size_t(0)].get<double>(), 16 * 0.9, 1e-9);
  EXPECT_NEAR(first["gflop_s"].get<double>(), first["flops"].get<double>() / (16 * 0.9 * 1e6),
              1e-9);
  EXPECT_NEAR(first["roofline"]["share"].get<double>(), first["gflop_s"].get<double>() / 200, 1e-9);
  EXPECT_EQ(first["roofline"]["bound"].text(), "products");
  EXPECT_EQ(object["contenders"][size_t(1)]["config_source"].text(), "given");
  const std::string text = reportText(*report);
  EXPECT_NE(text.find("FAST: 0.900 of the other's time"), std::string::npos) << text;
  EXPECT_NE(text.find("n 2048, 8 heads"), std::string::npos) << text;
}

TEST(Bench, WithoutRatesThereIsNoRooflineAndANoteSaysWhy) {
  tune::FakeWorld world;
  BenchRequest request = requestOf({{}});
  request.takeRates = []() -> Result<Rates> {
    return Error::plain(ErrorKind::Io, "memory", "memory: planted");
  };
  Result<BenchReport> report = benched(world, request);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const Json object = reportObject(*report);
  EXPECT_TRUE(object["rates"].is_null());
  EXPECT_TRUE(object["sizes"][size_t(0)]["contenders"][size_t(0)]["roofline"].is_null());
  EXPECT_EQ(object["notes"][size_t(0)].text(), "no roofline: memory: planted");
}

TEST(Bench, WhatOthersTakeIsSaid) {
  for (const double share : {0.03, 0.5}) {
    tune::FakeWorld world;
    BenchRequest request = requestOf({{}});
    request.cpus = 4;
    request.takenByOthers = [&] { return std::optional(7 + 4 * share * world.clock); };
    Result<BenchReport> report = benched(world, request);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_NEAR(reportObject(*report)["others_share"].get<double>(), share, 1e-9);
    EXPECT_EQ(report->notes.size(), share < 0.05 ? 0u : 1u);
    if (!report->notes.empty())
      EXPECT_EQ(report->notes[0], "other processes took 50 % of the machine's CPUs meanwhile");
  }
  tune::FakeWorld world;
  EXPECT_TRUE(reportObject(*benched(world, requestOf({{}})))["others_share"].is_null());
}

TEST(Others, AreWhatAllCpusDidButForThisProcess) {
  // user nice system idle iowait irq softirq steal guest guest_nice
  EXPECT_EQ(busySeconds("cpu  100 20 30 9000 800 4 5 1 50 0\ncpu0 1 2 3", 100), 1.6);
  EXPECT_FALSE(busySeconds("cpu0 100 20 30 9000 800 4 5 1", 100));
  EXPECT_FALSE(busySeconds("cpu  100 20 30", 100));
  EXPECT_FALSE(busySeconds("", 100));
}

TEST(Rates, ThreadsBeyondTheCpusAddNoWork) {
  EXPECT_EQ(sharesOf(4, 4), 2 * sharesOf(2, 4));
  EXPECT_EQ(sharesOf(1024, 4), sharesOf(4, 4));
  EXPECT_GT(sharesOf(1, 1), 0u);
}

TEST(Rates, AreOfThisMachine) {
  const Result<Rates> rates = takeCpuRates(Target{.level = CpuLevel::V3}, 2);
  ASSERT_TRUE(rates.ok()) << rates.error().message;
  EXPECT_EQ(rates->vectorBits, 256);
  EXPECT_GT(rates->copyGbS, 0);
  EXPECT_GT(rates->productGflopS, 0);
  EXPECT_FALSE(takeCpuRates(*parseTarget("cuda:sm_80"), 1).ok());
}

} // namespace
