// What pairs of times say, by hand.
#include "runtime/bench/comparison.h"
#include "runtime/bench/rounds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

using namespace nysjit::bench;

namespace {

std::vector<double> upTo(int count) {
  std::vector<double> values(static_cast<size_t>(count));
  std::iota(values.rbegin(), values.rend(), 1.0);
  return values;
}

/// So many pairs with the first ratio, then with the second.
Comparison compared(int firsts, double first, int seconds, double second) {
  std::vector<double> times(size_t(firsts), first);
  times.insert(times.end(), size_t(seconds), second);
  return compare(times, std::vector<double>(times.size(), 1.0), 0.02);
}

TEST(Comparison, TheMediansIntervalIsOfOrderStatistics) {
  EXPECT_FALSE(medianInterval(upTo(9)));
  const auto expect = [](int count, double low, double high) {
    const std::optional<Interval> interval = medianInterval(upTo(count));
    ASSERT_TRUE(interval) << count;
    EXPECT_EQ(interval->low, low) << count;
    EXPECT_EQ(interval->high, high) << count;
  };
  expect(10, 1, 10);  // 1 / 1024 that all ten are on one side
  expect(12, 1, 12);  // 13 / 4096 that at most one of twelve is on the other
  expect(14, 2, 13);  // 15 / 16384 that at most one of fourteen is
  expect(40, 10, 31); // 0.03 % that at most nine are, 0.11 % ten
}

TEST(Comparison, Quartiles) {
  EXPECT_EQ(quartiles({5, 1, 3, 2, 4}).low, 2);
  EXPECT_EQ(quartiles({5, 1, 3, 2, 4}).high, 4);
  EXPECT_EQ(quartiles({4, 2, 3, 1}).low, 1.75);
  EXPECT_EQ(quartiles({4, 2, 3, 1}).high, 3.25);
  EXPECT_EQ(quartiles({7}).low, 7);
  EXPECT_EQ(quartiles({7}).high, 7);
}

TEST(Comparison, FastAndSlowTakeAsManyWinsAsTheSignTest) {
  EXPECT_EQ(compared(31, 0.9, 9, 1.1).verdict, Verdict::Fast);
  EXPECT_EQ(compared(30, 0.9, 10, 1.1).verdict, Verdict::Undecided);
  EXPECT_EQ(compared(9, 0.9, 31, 1.1).verdict, Verdict::Slow);
  EXPECT_EQ(compared(10, 0.9, 30, 1.1).verdict, Verdict::Undecided);
  EXPECT_EQ(compared(10, 0.5, 0, 1).verdict, Verdict::Fast);
  EXPECT_EQ(compared(9, 0.5, 0, 1).verdict, Verdict::Undecided) << "too few to know";
  EXPECT_EQ(compared(31, 0.9, 9, 1.1).wins, 31);
  EXPECT_EQ(compared(31, 0.9, 9, 1.1).ratio, 0.9);
}

TEST(Comparison, SameIsAnIntervalWithinTheLeastEffect) {
  EXPECT_EQ(compared(40, 0.99, 0, 1).verdict, Verdict::Same) << "faster, by less than that";
  EXPECT_EQ(compared(20, 0.985, 20, 1.015).verdict, Verdict::Same);
  EXPECT_EQ(compared(20, 0.97, 20, 1.015).verdict, Verdict::Undecided);
  EXPECT_EQ(compared(40, 0.98, 0, 1).verdict, Verdict::Fast);
  EXPECT_EQ(compared(40, 1.03, 0, 1).verdict, Verdict::Slow);
  EXPECT_EQ(compared(1, 1, 0, 1).verdict, Verdict::Undecided);
}

TEST(Comparison, TheSameProgramIsHardlyEverFastOrSlow) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  for (const double noise : {0.01, 0.1, 0.5}) {
    int wrong = 0;
    constexpr int trials = 4000;
    for (int trial = 0; trial < trials; ++trial) {
      std::vector<double> first;
      std::vector<double> second;
      for (int pair = 0; pair < 40; ++pair) {
        const double both = std::exp(normal(random)); // the machine's mood
        first.push_back(both * std::exp(noise * normal(random)));
        second.push_back(both * std::exp(noise * normal(random)));
      }
      const Verdict verdict = compare(first, second, 0.02).verdict;
      wrong += verdict == Verdict::Fast || verdict == Verdict::Slow;
    }
    EXPECT_LT(wrong, 0.0025 * trials) << noise; // 0.07 % are to be expected, or fewer
  }
}

TEST(Rounds, WhatASizeDoesNotNeedGoesToTheOthers) {
  const auto shared = [](std::vector<Wanted> sizes, double seconds) {
    return shareRounds(sizes, seconds);
  };
  EXPECT_EQ(shared({{0.1, 40}, {0.1, 40}}, 100), (std::vector{40, 40}));
  EXPECT_EQ(shared({{1, 40}, {1, 40}}, 20), (std::vector{10, 10}));
  EXPECT_EQ(shared({{1, 40}, {0.1, 40}}, 20), (std::vector{16, 40})) << "4 s of 10, then 16";
  EXPECT_EQ(shared({{1, 40}, {0.1, 5}}, 20), (std::vector{19, 5}));
  EXPECT_EQ(shared({{1, 40}, {2, 0}}, -1), (std::vector{0, 0})) << "no time is left";
}

} // namespace
