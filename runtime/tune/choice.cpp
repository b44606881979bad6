// The best, or what is tied with it.
#include "runtime/tune/choice.h"
#include "runtime/tune/statistics.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace nysjit::tune {

namespace {

constexpr double tieBand = 0.02;
/// The first choice and two with a group less.
constexpr size_t mostAttempts = 3;

int64_t blockElements(const KernelBlocks &blocks) {
  int64_t sum = 0;
  for (const auto &[kernel, block] : blocks)
    sum += int64_t(block.blockM.value_or(1)) * block.blockN.value_or(1);
  return sum;
}

} // namespace

double weightedOver(const std::vector<double> &ratios, const std::vector<TuneShape> &shapes) {
  std::vector<double> weights;
  for (const TuneShape &shape : shapes)
    weights.push_back(shape.weight);
  return weightedRatio(ratios, weights);
}

Choice choose(const Space &space, size_t group, const GroupScores &scores,
              const std::vector<TuneShape> &shapes) {
  std::map<size_t, double> totals;
  double best = 1;
  for (const auto &[index, ratios] : scores.ratios) {
    if (space.candidates[index].group != group || !space.candidates[index].invalidity.empty())
      continue;
    totals.emplace(index, weightedOver(ratios, shapes));
    best = std::min(best, totals[index]);
  }
  const double band = std::max(tieBand, scores.noise / std::sqrt(double(scores.rounds)));
  Choice choice;
  for (const auto &[index, total] : totals)
    if (total <= best * (1 + band))
      choice.tied.push_back(index);
  if (choice.tied.empty() || 1 <= best * (1 + band)) {
    if (1 > best * (1 + tieBand))
      choice.hidden = best;
    return choice;
  }
  choice.candidate = *std::ranges::min_element(choice.tied, {}, [&](size_t index) {
    const Candidate &candidate = space.candidates[index];
    return std::tuple(candidate.resources.nearBytes(), blockElements(candidate.blocks),
                      blocksObject(candidate.blocks).dump());
  });
  choice.ratio = totals[*choice.candidate];
  return choice;
}

std::vector<Chosen> chooseAll(const Space &space, const std::vector<GroupScores> &scores,
                              const std::vector<TuneShape> &shapes) {
  std::vector<Chosen> all;
  for (size_t g = 0; g < space.groups.size(); ++g)
    if (Choice choice = choose(space, g, scores[g], shapes); choice.candidate)
      all.push_back({g, std::move(choice)});
  return all;
}

std::vector<std::vector<Chosen>> attemptsOf(std::vector<Chosen> choices,
                                            const std::vector<GroupScores> &scores) {
  const auto gain = [&](const Chosen &one) {
    return (1 - one.choice.ratio) * scores[one.group].share;
  };
  std::vector<std::vector<Chosen>> attempts;
  while (attempts.size() < mostAttempts && !choices.empty()) {
    attempts.push_back(choices);
    choices.erase(std::ranges::min_element(choices, {}, gain));
  }
  return attempts;
}

KernelConfig configOf(const Space &space, const std::vector<Chosen> &choices) {
  std::vector<const Candidate *> candidates;
  for (const Chosen &one : choices)
    candidates.push_back(&space.candidates[*one.choice.candidate]);
  return configWith(space, candidates);
}

} // namespace nysjit::tune
