// Medians, ratios and binomial tails.
#include "runtime/tune/statistics.h"

#include <algorithm>
#include <cmath>

namespace nysjit::tune {

namespace {

double medianOfRound(const Round &round) {
  std::vector<double> times;
  for (const std::optional<double> &time : round)
    if (time)
      times.push_back(*time);
  return median(std::move(times));
}

/// Rounds in which both runs of the default were timed.
template <typename Function>
std::vector<double> overDefaults(std::span<const Round> rounds, Function function) {
  std::vector<double> values;
  for (const Round &round : rounds)
    if (round.size() > 1 && round[0] && round[1])
      values.push_back(function(*round[0], *round[1]));
  return values;
}

} // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t count = values.size();
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

std::optional<double> ratioToDefault(std::span<const Round> rounds, size_t arm) {
  std::vector<double> own;
  std::vector<double> defaults;
  for (const Round &round : rounds) {
    if (arm >= round.size() || !round[arm])
      continue;
    const double middle = medianOfRound(round);
    own.push_back(*round[arm] / middle);
    for (const size_t i : {0, 1})
      if (i < round.size() && round[i])
        defaults.push_back(*round[i] / middle);
  }
  if (own.empty() || defaults.empty())
    return std::nullopt;
  return median(std::move(own)) / median(std::move(defaults));
}

double spreadOfDefault(std::span<const Round> rounds) {
  std::vector<double> values =
      overDefaults(rounds, [](double a, double b) { return std::abs(a - b) / ((a + b) / 2); });
  return values.empty() ? 0 : median(std::move(values));
}

double ratioOfDefaults(std::span<const Round> rounds) {
  std::vector<double> values = overDefaults(rounds, [](double a, double b) { return b / a; });
  return values.empty() ? 1 : median(std::move(values));
}

double weightedRatio(std::span<const double> ratios, std::span<const double> weights) {
  double sum = 0;
  double total = 0;
  for (size_t i = 0; i < ratios.size(); ++i) {
    sum += weights[i] * std::log(ratios[i]);
    total += weights[i];
  }
  return std::exp(sum / total);
}

int winsNeeded(int pairs, double level) {
  // P(wins >= k) from the rarest down, while it is within the level.
  double term = std::ldexp(1.0, -pairs); // all are won
  double tail = 0;
  for (int wins = pairs; wins >= 0; --wins) {
    tail += term;
    if (tail > level)
      return wins + 1;
    term *= double(wins) / (pairs - wins + 1);
  }
  return 0;
}

std::vector<Look> looksOf(int mostPairs) {
  // Together 0.49 %; each the level of its look with 40 pairs.
  constexpr double levels[] = {0.001, 0.0013, 0.0033};
  const int counts[] = {(mostPairs + 3) / 4, (mostPairs + 1) / 2, mostPairs};
  std::vector<Look> looks;
  for (size_t i = 0; i < std::size(counts); ++i)
    looks.push_back({counts[i], winsNeeded(counts[i], levels[i])});
  return looks;
}

Judgement judge(std::span<const Look> looks, int pairs, int wins, int losses) {
  const auto look = std::ranges::find(looks, pairs, &Look::pairs);
  if (look == looks.end())
    return Judgement::Open;
  if (wins >= look->wins)
    return Judgement::Faster;
  return losses >= look->wins ? Judgement::Slower : Judgement::Open;
}

} // namespace nysjit::tune
