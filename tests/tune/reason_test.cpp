// Why the default stands: above all, whether the noise was too high to tell.
#include "runtime/tune/choice.h"
#include "runtime/tune/report.h"
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

ShapeVerdict shapeOf(double ratio, Judgement judgement) {
  return {.pairs = 40, .wins = 20, .ratio = ratio, .judgement = judgement};
}

TEST(Refusal, AGainThatNoTestIsSureOfIsTheNoises) {
  const TuneFile file = fakeTune(); // min_gain 0.02
  const auto refusal = [&](ShapeVerdict first, ShapeVerdict second) {
    const Verdict verdict = verdictOf({first, second}, file);
    EXPECT_FALSE(verdict.isFaster);
    return refusalOf(verdict, file);
  };
  const auto open = [](double ratio) { return shapeOf(ratio, Judgement::Open); };
  EXPECT_EQ(refusal(open(0.97), open(0.97)), Refusal::Noise);
  EXPECT_EQ(refusal(open(0.90), open(1.0)), Refusal::Noise); // 0.949 together
  EXPECT_EQ(refusal(open(0.97), open(1.0)), Refusal::NoGain);
  EXPECT_EQ(refusal(open(1.1), open(1.0)), Refusal::NoGain);
  EXPECT_EQ(refusal(open(0.5), shapeOf(1.1, Judgement::Slower)), Refusal::Slower);
  // Sure, of too little.
  EXPECT_EQ(refusal(shapeOf(0.99, Judgement::Faster), open(1.0)), Refusal::NoGain);
}

TEST(Choice, WhatTheNoiseTiesWithTheDefaultIsKnown) {
  const TuneFile file = fakeTune();
  Space space;
  space.candidates.resize(1);
  GroupScores scores{.ratios = {{0, {0.95, 0.95}}}, .noise = 0.01, .rounds = 16};
  EXPECT_TRUE(choose(space, 0, scores, file.shapes).candidate);
  EXPECT_EQ(choose(space, 0, scores, file.shapes).hidden, 1);
  scores.noise = 0.4; // 0.1 after 16 rounds
  EXPECT_FALSE(choose(space, 0, scores, file.shapes).candidate);
  EXPECT_DOUBLE_EQ(choose(space, 0, scores, file.shapes).hidden, 0.95);
  scores.ratios[0] = {0.99, 0.99}; // tied without noise, too
  EXPECT_EQ(choose(space, 0, scores, file.shapes).hidden, 1);
}

FakeWorld::Factor fastOutput(double factor) {
  return [=](const BlockConfig &block, size_t, int) {
    return block.blockM == 32 && block.blockN == 64 ? factor : 1.0;
  };
}

TEST(Reason, IsTheNoiseWhereAGainDrownsInIt) {
  // 0.95 of the whole, which the pairs find in quiet; two runs here differ by a third.
  int drowned = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FakeWorld world{.factors = {{"causal_output", fastOutput(0.8)}}, .noise = 0.5, .seed = seed};
    Result<TuneReport> report = tuned(world, fakeTune());
    ASSERT_TRUE(report.ok()) << report.error().message;
    const SpecReport &one = report->specs[0];
    const Json &known = one.entry.tuned;
    if (known["verdict"].text() == "faster") {
      EXPECT_FALSE(known.contains("reason"));
      continue;
    }
    EXPECT_GT(one.wallNoise, 0.1);
    EXPECT_EQ(known["wall_noise"], Json(one.wallNoise));
    const std::string text = reportText(*report, fakeTune());
    const bool isNoise = known["reason"].text() == "noise";
    drowned += isNoise;
    char figure[32];
    std::snprintf(figure, sizeof figure, "differ by %.1f %%", 100 * one.wallNoise);
    EXPECT_EQ(text.find("the noise is too high for a verdict") != std::string::npos, isNoise);
    EXPECT_EQ(text.find(figure) != std::string::npos, isNoise) << text;
    EXPECT_EQ(reportObject(*report)["specs"][size_t(0)]["tuned"]["reason"], known["reason"]);
  }
  EXPECT_GE(drowned, 10);
}

TEST(Reason, IsNoGainWhereTheSameCodeIsMeasuredInQuiet) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FakeWorld world{.noise = 0.005, .seed = seed};
    Result<TuneReport> report = tuned(world, fakeTune());
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->specs[0].entry.tuned["reason"].text(), "no_gain") << seed;
  }
}

TEST(Reason, IsThatItIsSlowerWhereItLosesAtAShape) {
  FakeWorld world;
  world.factors["causal_output"] = [](const BlockConfig &block, size_t shape, int) {
    return block.blockM == 64 && block.blockN == 64 ? 1.0 : shape == 0 ? 0.4 : 1.3;
  };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->specs[0].entry.tuned["reason"].text(), "slower");
}

TEST(Reason, IsThatTheChoiceFailsWhereItsPartsDoNot) {
  FakeWorld world{.factors = {{"causal_output", fastOutput(0.5)}}};
  world.factors["landmark_solve"] = [](const BlockConfig &block, size_t, int) {
    return block.blockM == 16 ? 0.5 : 1.0;
  };
  // Both choices in one program; what is packed for screening has others.
  world.isWrong = [&](const KernelConfig &config) {
    return config.kernels.at("causal_output") == BlockConfig{.blockM = 32, .blockN = 64} &&
           world.series == "screening";
  };
  Result<TuneReport> report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  // Without the output's gain the other stands; alone there is nothing left.
  EXPECT_EQ(report->specs[0].entry.config.kernels.at("landmark_solve").blockM, 16);
  world.factors.erase("landmark_solve");
  report = tuned(world, fakeTune());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->specs[0].entry.tuned["reason"].text(), "failed");
}

TEST(Shapes, AreWrittenDownWithEveryVerdict) {
  // Nothing is worth a comparison; refused; faster.
  for (const double factor : {1.2, 0.96, 0.8}) {
    FakeWorld world{.factors = {{"causal_output",
                                 [=](const BlockConfig &block, size_t, int) {
                                   return block.blockM == 64 && block.blockN == 64 ? 1 : factor;
                                 }}},
                    .noise = 0.001};
    Result<TuneReport> report = tuned(world, fakeTune());
    ASSERT_TRUE(report.ok()) << report.error().message;
    const Json &known = report->specs[0].entry.tuned;
    EXPECT_EQ(known["verdict"].text(), factor == 0.8 ? "faster" : "default");
    ASSERT_EQ(known["shapes"].size(), 2u) << factor;
    EXPECT_EQ(known["shapes"][size_t(1)]["length"].get<int>(), 2048);
    EXPECT_EQ(known["shapes"][size_t(1)]["weight"].get<double>(), 1);
    EXPECT_EQ(known["shapes"][size_t(1)].contains("pairs"), factor < 1) << factor;
  }
}

} // namespace
