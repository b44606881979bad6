// What measurements come to: medians, scores of arms that were timed in interleaved rounds, and the
// sign test that decides whether one program is faster than another. Pure functions.
#pragma once
#include <optional>
#include <span>
#include <vector>

namespace nysjit::tune {

/// Of at least one number; the mean of the two in the middle where there is no middle one.
double median(std::vector<double> values);

/// One round: each arm's time, nothing where an arm was not run. Arms 0 and 1 are the default,
/// timed twice.
using Round = std::vector<std::optional<double>>;

/// An arm's time over the default's: both are divided by the median of their round, so that what
/// slows a whole round down tells nothing; then the median over the rounds in which the arm was
/// run. Nothing for an arm that never was.
std::optional<double> ratioToDefault(std::span<const Round> rounds, size_t arm);

/// How much two runs of one program differ: the median over the rounds of the relative difference
/// of arms 0 and 1. 0 without rounds.
double spreadOfDefault(std::span<const Round> rounds);
/// The median of arm 1's time over arm 0's: 1, but for noise. 1 without rounds.
double ratioOfDefaults(std::span<const Round> rounds);

/// The weighted geometric mean of ratios, which are all positive; weights of at least one are.
double weightedRatio(std::span<const double> ratios, std::span<const double> weights);

/// The least wins among so many pairs that a fair coin reaches in at most the share `level` of all
/// cases; pairs + 1 if there is no such number.
int winsNeeded(int pairs, double level);

/// A look at the pairs so far: how many wins decide.
struct Look {
  int pairs;
  int wins;
};

/// The looks of a group-sequential sign test of at most so many pairs, after a quarter, a half and
/// all of them: of 40 pairs 10 wins of 10, 17 of 20, 29 of 40. A program that is no faster passes
/// in less than one case of 200.
std::vector<Look> looksOf(int mostPairs);

enum class Judgement { Open, Faster, Slower };
/// What the test says after so many pairs: Open but at a look.
Judgement judge(std::span<const Look> looks, int pairs, int wins, int losses);

} // namespace nysjit::tune
