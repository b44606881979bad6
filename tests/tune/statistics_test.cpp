// Medians by hand, tails by whole numbers.
#include "runtime/tune/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace nysjit::tune;

namespace {

/// The sum of n over k, k from `least`, exact for n up to 60.
uint64_t outcomes(int n, int least) {
  std::vector<uint64_t> row = {1};
  for (int i = 0; i < n; ++i) {
    row.push_back(0);
    for (size_t k = row.size() - 1; k > 0; --k)
      row[k] += row[k - 1];
  }
  uint64_t sum = 0;
  for (int k = least; k <= n; ++k)
    sum += row[size_t(k)];
  return sum;
}

/// How likely the looks call a program faster that wins a pair with this probability.
double acceptance(const std::vector<Look> &looks, double p) {
  std::vector<double> undecided = {1}; // by wins
  double accepted = 0;
  for (int pair = 1; pair <= looks.back().pairs; ++pair) {
    std::vector<double> next(undecided.size() + 1);
    for (size_t wins = 0; wins < undecided.size(); ++wins) {
      next[wins] += (1 - p) * undecided[wins];
      next[wins + 1] += p * undecided[wins];
    }
    for (size_t wins = 0; wins < next.size(); ++wins) {
      const Judgement judged = judge(looks, pair, int(wins), pair - int(wins));
      if (judged == Judgement::Faster)
        accepted += next[wins];
      if (judged != Judgement::Open)
        next[wins] = 0;
    }
    undecided = std::move(next);
  }
  return accepted;
}

TEST(Statistics, TheMedianIsTheMiddleOrTheMeanOfTwo) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 100}), 3.5);
}

TEST(Statistics, WhatSlowsARoundDownTellsNothing) {
  // Arm 2 takes half of the default's time; the second round is ten times as slow.
  const std::vector<Round> rounds = {{4.0, 4.0, 2.0}, {40.0, 40.0, 20.0}, {4.0, 4.0, 2.0}};
  EXPECT_DOUBLE_EQ(*ratioToDefault(rounds, 2), 0.5);
  EXPECT_DOUBLE_EQ(*ratioToDefault(rounds, 0), 1);
}

TEST(Statistics, AnArmIsComparedInItsOwnRoundsAlone) {
  // Arm 2 was dropped after the first round, when arm 3, which is slower, was still there.
  const std::vector<Round> rounds = {{2.0, 2.0, 3.0, 4.0},
                                     {2.0, 2.0, std::nullopt, std::nullopt},
                                     {9.0, 9.0, std::nullopt, std::nullopt}};
  EXPECT_DOUBLE_EQ(*ratioToDefault(rounds, 2), 1.5);
  EXPECT_DOUBLE_EQ(*ratioToDefault(rounds, 3), 2);
  EXPECT_FALSE(ratioToDefault(rounds, 4).has_value());
  EXPECT_FALSE(ratioToDefault({}, 2).has_value());
}

TEST(Statistics, OneOutlierDoesNotMoveARatio) {
  const std::vector<Round> rounds = {
      {1.0, 1.0, 0.9}, {1.0, 1.0, 90.0}, {1.0, 1.0, 0.9}, {1.0, 1.0, 0.9}, {1.0, 1.0, 0.9}};
  EXPECT_DOUBLE_EQ(*ratioToDefault(rounds, 2), 0.9);
}

TEST(Statistics, TheSpreadIsThatOfTheDefaultsTwoRuns) {
  const std::vector<Round> rounds = {{1.0, 1.1}, {2.0, 2.0}, {1.0, 3.0}};
  EXPECT_NEAR(spreadOfDefault(rounds), 0.1 / 1.05, 1e-12);
  EXPECT_DOUBLE_EQ(ratioOfDefaults(rounds), 1.1);
  EXPECT_EQ(spreadOfDefault({}), 0);
  EXPECT_EQ(ratioOfDefaults({}), 1);
}

TEST(Statistics, WeightsAreExponents) {
  const std::vector<double> ratios = {0.5, 2};
  EXPECT_DOUBLE_EQ(weightedRatio(ratios, std::vector<double>{1, 1}), 1);
  EXPECT_DOUBLE_EQ(weightedRatio(ratios, std::vector<double>{2, 1}), std::cbrt(0.5));
}

TEST(Statistics, WinsNeededAreTheLeastWithinTheLevel) {
  for (const int n : {1, 5, 10, 20, 40, 60})
    for (const double level : {0.5, 0.05, 0.01, 0.001, 1e-9}) {
      int expected = n + 1;
      while (expected > 0 && std::ldexp(double(outcomes(n, expected - 1)), -n) <= level)
        --expected;
      EXPECT_EQ(winsNeeded(n, level), expected) << n << ' ' << level;
    }
  EXPECT_LE(winsNeeded(1000, 0.003), 1000);
}

TEST(Statistics, TheLooksOfFortyPairsAreThoseOfTheTest) {
  const std::vector<Look> looks = looksOf(40);
  ASSERT_EQ(looks.size(), 3u);
  const int expected[][2] = {{10, 10}, {20, 17}, {40, 29}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(looks[i].pairs, expected[i][0]);
    EXPECT_EQ(looks[i].wins, expected[i][1]);
  }
  EXPECT_EQ(judge(looks, 10, 10, 0), Judgement::Faster);
  EXPECT_EQ(judge(looks, 10, 9, 1), Judgement::Open);
  EXPECT_EQ(judge(looks, 11, 11, 0), Judgement::Open); // no look
  EXPECT_EQ(judge(looks, 20, 3, 17), Judgement::Slower);
  EXPECT_EQ(judge(looks, 40, 28, 12), Judgement::Open);
}

TEST(Statistics, ACoinIsCalledFasterInOneCaseOfTwoHundredAtMost) {
  for (const int pairs : {10, 20, 40, 41, 100, 1000})
    EXPECT_LE(acceptance(looksOf(pairs), 0.5), 0.005) << pairs;
  EXPECT_NEAR(acceptance(looksOf(40), 0.5), 0.0049, 0.0001);
  EXPECT_GE(acceptance(looksOf(40), 0.8), 0.915);
  EXPECT_GE(acceptance(looksOf(40), 0.9), 0.999);
}

} // namespace
