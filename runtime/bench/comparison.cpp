// Signs, order statistics.
#include "runtime/bench/comparison.h"
#include "runtime/tune/statistics.h"

#include <algorithm>
#include <cmath>

namespace nysjit::bench {

namespace {

constexpr double level = 0.001; // on each side

} // namespace

const char *verdictName(Verdict verdict) {
  constexpr const char *names[] = {"FAST", "SLOW", "SAME", "UNDECIDED"};
  return names[size_t(verdict)];
}

std::optional<Interval> medianInterval(std::vector<double> values) {
  std::ranges::sort(values);
  const int count = int(values.size());
  const int wins = tune::winsNeeded(count, level);
  if (wins > count)
    return std::nullopt;
  return Interval{values[size_t(count - wins)], values[size_t(wins - 1)]};
}

Interval quartiles(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double share) {
    const double place = share * double(values.size() - 1);
    const auto below = size_t(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - double(below)) * (values[above] - values[below]);
  };
  return {at(0.25), at(0.75)};
}

Comparison compare(std::span<const double> first, std::span<const double> second,
                   double leastEffect) {
  std::vector<double> ratios;
  for (size_t i = 0; i < first.size(); ++i)
    ratios.push_back(first[i] / second[i]);
  Comparison result;
  result.pairs = int(ratios.size());
  result.wins = int(std::ranges::count_if(ratios, [](double ratio) { return ratio < 1; }));
  result.ratio = tune::median(ratios);
  result.interval = medianInterval(ratios);
  if (!result.interval)
    return result;
  const double least = 1 - leastEffect;
  const auto [low, high] = *result.interval;
  if (high < 1 && result.ratio <= least)
    result.verdict = Verdict::Fast;
  else if (low > 1 && result.ratio >= 1 / least)
    result.verdict = Verdict::Slow;
  else if (low >= least && high <= 1 / least)
    result.verdict = Verdict::Same;
  return result;
}

} // namespace nysjit::bench
