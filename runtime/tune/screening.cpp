// Rounds. Arms 0 and 1 are the default's, arm 2 + i is arms[i].
#include "runtime/tune/screening.h"
#include "runtime/base/format.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace nysjit::tune {

namespace {

constexpr size_t defaults = 2;
constexpr int leastRounds = 4;
/// After so many rounds candidates are dropped that are so far behind the best of their group.
constexpr struct {
  int rounds;
  double over;
} drops[] = {{4, 1.25}, {8, 1.10}};
/// Below this the wall's clock tells programs apart.
constexpr double quiet = 0.03;

} // namespace

Status goOn(const Measuring &measuring) {
  if (measuring.lab.isEnding())
    return endedFromOutside();
  if (measuring.lab.seconds() > measuring.deadline)
    return Error::plain(ErrorKind::Unavailable, "budget.seconds",
                        "budget.seconds: the budget is used up before there is a verdict; "
                        "--resume goes on where it stopped");
  return {};
}

Screening::Screening(const Measuring &measuring, std::vector<Arm> given, Journal &journal)
    : measuring(measuring), arms(std::move(given)), journal(journal) {
  const size_t shapes = measuring.file.shapes.size();
  groups.resize(measuring.space.groups.size());
  for (const Arm &arm : arms)
    for (const size_t candidate : arm.candidates)
      groups[measuring.space.candidates[candidate].group].candidates.push_back(candidate);
  for (GroupTimes &group : groups) {
    group.times.wall.resize(shapes);
    group.times.cpu.resize(shapes);
    group.isDropped.resize(group.candidates.size());
  }
  whole.wall.resize(shapes);
  whole.cpu.resize(shapes);
  for (const TuneShape &shape : measuring.file.shapes)
    weights.push_back(shape.weight);
}

void Screening::Times::beginRound(size_t shape, size_t arms) {
  wall[shape].emplace_back(arms);
  cpu[shape].emplace_back(arms);
}

/// A clock that stood still tells nothing.
void Screening::Times::record(size_t shape, size_t arm, const Time &time) {
  if (time.wallMs > 0)
    wall[shape].back()[arm] = time.wallMs;
  if (time.cpuMs > 0)
    cpu[shape].back()[arm] = time.cpuMs;
}

/// The wall's where it has been quiet enough in these rounds; else the CPUs'.
Clock Screening::clock() const {
  if (measuring.file.clock != Clock::Auto)
    return measuring.file.clock;
  const auto isQuiet = [](const std::vector<Round> &rounds) {
    return spreadOfDefault(rounds) < quiet;
  };
  return std::ranges::all_of(whole.wall, isQuiet) ? Clock::Wall : Clock::Cpu;
}

const std::vector<std::vector<Round>> &Screening::roundsOf(const Times &times) const {
  return clock() == Clock::Cpu ? times.cpu : times.wall;
}

Result<Screened> Screening::run() {
  measuring.lab.beginSeries("screening");
  NYSJIT_RETURN_IF_ERROR(runUnmeasured());
  std::vector<size_t> before;
  for (int round = 1; round <= measuring.file.rounds; ++round) {
    const double start = measuring.lab.seconds();
    NYSJIT_RETURN_IF_ERROR(runRound(round));
    roundsDone = round;
    roundSeconds = measuring.lab.seconds() - start;
    if (round == 1)
      fitBudget();
    for (const auto &[rounds, over] : drops)
      if (round == rounds)
        drop(over);
    // Each fourth round: no other leads than four rounds ago.
    if (round >= leastRounds && round % leastRounds == 0) {
      std::vector<size_t> now = leaders();
      if (round >= 2 * leastRounds && now == before)
        break;
      before = std::move(now);
    }
    if (round >= leastRounds &&
        measuring.lab.seconds() + roundSeconds + verdictSeconds() > measuring.deadline)
      break;
  }
  return result();
}

/// Each once: its pages, and the threads' memory. Where that computes what a run takes, it is all
/// the work there is, and a half of the budget is for the verdict.
Status Screening::runUnmeasured() {
  const double start = measuring.lab.seconds();
  const bool isAll = measuring.lab.place().isModel;
  for (size_t number = 0; number < defaults + arms.size(); ++number) {
    if (isAll && number > defaults &&
        measuring.lab.seconds() > start + (measuring.deadline - start) / 2) {
      leaveOut(number - defaults);
      break;
    }
    const size_t program =
        number < defaults ? measuring.defaultProgram : arms[number - defaults].program;
    for (size_t shape = 0; shape < weights.size(); ++shape) {
      NYSJIT_RETURN_IF_ERROR(goOn(measuring));
      measuring.progress.update("[run " + std::to_string(number + 1) + "/" +
                                    std::to_string(defaults + arms.size()) + "] " + measuring.name,
                                measuring.lab.seconds());
      NYSJIT_RETURN_IF_ERROR(measuring.lab.run(program, shape));
    }
  }
  return {};
}

Status Screening::runRound(int round) {
  measuring.progress.update(progressText(round), measuring.lab.seconds());
  for (size_t shape = 0; shape < weights.size(); ++shape)
    NYSJIT_RETURN_IF_ERROR(runShape(round, shape));
  return {};
}

Status Screening::runShape(int round, size_t shape) {
  for (GroupTimes &group : groups)
    group.times.beginRound(shape, defaults + group.candidates.size());
  whole.beginRound(shape, defaults);
  std::vector<size_t> order;
  for (size_t number = 0; number < defaults + arms.size(); ++number) {
    const auto isIn = [&](size_t candidate) {
      const GroupTimes &group = groups[measuring.space.candidates[candidate].group];
      const auto at = std::ranges::find(group.candidates, candidate) - group.candidates.begin();
      return !group.isDropped[size_t(at)];
    };
    if (number < defaults || std::ranges::any_of(arms[number - defaults].candidates, isIn))
      order.push_back(number);
  }
  std::mt19937_64 random(measuring.file.seed * 1000003 + uint64_t(round) * 64 + shape);
  std::ranges::shuffle(order, random);
  for (const size_t number : order)
    NYSJIT_RETURN_IF_ERROR(runArm(number, shape));
  return journalRound(round, shape);
}

Status Screening::runArm(size_t number, size_t shape) {
  NYSJIT_RETURN_IF_ERROR(goOn(measuring));
  const bool isDefault = number < defaults;
  Result<RunTime> time = measuring.lab.run(
      isDefault ? measuring.defaultProgram : arms[number - defaults].program, shape);
  NYSJIT_RETURN_IF_ERROR(time);
  record(number, shape, *time);
  return {};
}

/// A run's times to the groups whose candidates it is of; the default is in all groups.
void Screening::record(size_t number, size_t shape, const RunTime &time) {
  const bool isDefault = number < defaults;
  if (isDefault)
    whole.record(shape, number, time.whole);
  for (size_t g = 0; g < groups.size(); ++g) {
    size_t place = number;
    if (!isDefault) {
      const std::vector<size_t> &own = arms[number - defaults].candidates;
      const auto at = std::ranges::find_first_of(groups[g].candidates, own);
      if (at == groups[g].candidates.end() ||
          groups[g].isDropped[size_t(at - groups[g].candidates.begin())])
        continue;
      place = defaults + size_t(at - groups[g].candidates.begin());
    }
    Time sum;
    for (const std::string &kernel : measuring.space.groups[g].kernels)
      if (const auto launch = time.kernels.find(kernel); launch != time.kernels.end()) {
        sum.wallMs += launch->second.wallMs;
        sum.cpuMs += launch->second.cpuMs;
      }
    groups[g].times.record(shape, place, sum);
  }
}

/// The last round's times at a shape, by arm.
Json Screening::roundObject(size_t shape, Clock by) const {
  Json first = Json::array();
  Json second = Json::array();
  Json times = Json::object();
  for (const GroupTimes &group : groups) {
    const Round &last = (by == Clock::Cpu ? group.times.cpu : group.times.wall)[shape].back();
    first.push_back(last[0] ? Json(*last[0]) : Json());
    second.push_back(last[1] ? Json(*last[1]) : Json());
    for (size_t i = 0; i < group.candidates.size(); ++i)
      if (last[defaults + i])
        times[std::to_string(measuring.space.candidates[group.candidates[i]].id)] =
            Json::array({*last[defaults + i]});
  }
  times["0"] = std::move(first);
  times["0'"] = std::move(second);
  return times;
}

Status Screening::journalRound(int round, size_t shape) {
  return journal.append({{{"kind", "round"},
                          {"round", round},
                          {"shape", shape},
                          {"ms", roundObject(shape, Clock::Wall)},
                          {"cpu_ms", roundObject(shape, Clock::Cpu)},
                          {"noise", spreadOfDefault(whole.wall[shape])}}});
}

std::optional<double> Screening::ratio(const GroupTimes &times, size_t arm) const {
  std::vector<double> ratios;
  for (const std::vector<Round> &rounds : roundsOf(times.times)) {
    const std::optional<double> one = ratioToDefault(rounds, arm);
    if (!one)
      return std::nullopt;
    ratios.push_back(*one);
  }
  return weightedRatio(ratios, weights);
}

void Screening::drop(double over) {
  for (GroupTimes &group : groups) {
    double best = 1;
    for (size_t i = 0; i < group.candidates.size(); ++i)
      best = std::min(best, ratio(group, defaults + i).value_or(best));
    for (size_t i = 0; i < group.candidates.size(); ++i)
      if (ratio(group, defaults + i).value_or(1) > over * best)
        group.isDropped[i] = true;
  }
}

/// What all pairs of a comparison take.
double Screening::verdictSeconds() const {
  double ms = 0;
  for (const std::vector<Round> &rounds : whole.wall)
    ms += rounds.back()[0].value_or(0) + rounds.back()[1].value_or(0);
  return measuring.file.pairs * ms / 1e3;
}

/// Leaves out the candidates that are farthest from the default, where the rounds that there must
/// be would not fit the budget otherwise.
void Screening::fitBudget() {
  // A half of what is left is for the verdict.
  const double left = (measuring.deadline - measuring.lab.seconds()) / 2;
  const double perArm = roundSeconds / double(defaults + arms.size());
  const double most = left / (perArm * (leastRounds - 1)) - double(defaults);
  if (perArm <= 0 || most >= double(arms.size()))
    return;
  leaveOut(size_t(std::max(most, 1.0)));
}

/// All arms but the first `kept`. Of each group those far from the default come last.
void Screening::leaveOut(size_t kept) {
  measuring.progress.say("the budget has room for " + std::to_string(kept) + " of " +
                         std::to_string(arms.size()) + " programs");
  for (size_t i = kept; i < arms.size(); ++i)
    for (const size_t candidate : arms[i].candidates) {
      GroupTimes &group = groups[measuring.space.candidates[candidate].group];
      const auto at = std::ranges::find(group.candidates, candidate) - group.candidates.begin();
      group.isDropped[size_t(at)] = true;
    }
}

/// The best arm of each group: 0 for the default.
std::vector<size_t> Screening::leaders() const {
  std::vector<size_t> all;
  for (const GroupTimes &group : groups) {
    size_t best = 0;
    double least = 1;
    for (size_t i = 0; i < group.candidates.size(); ++i) {
      const double own = ratio(group, defaults + i).value_or(1);
      if (!group.isDropped[i] && own < least) {
        least = own;
        best = defaults + i;
      }
    }
    all.push_back(best);
  }
  return all;
}

std::string Screening::progressText(int round) const {
  std::string text = "[round " + std::to_string(round) + "/" +
                     std::to_string(measuring.file.rounds) + "] " + measuring.name;
  const std::vector<size_t> best = roundsDone ? leaders() : std::vector<size_t>();
  for (size_t g = 0; g < best.size(); ++g) {
    if (best[g] < defaults)
      continue;
    text +=
        ", " + measuring.space.groups[g].name + " " +
        blocksText(measuring.space.candidates[groups[g].candidates[best[g] - defaults]].blocks) +
        format(" %.2f of default", *ratio(groups[g], best[g]));
  }
  if (!roundsDone)
    return text;
  const double left = (measuring.file.rounds - roundsDone) * roundSeconds + verdictSeconds();
  return text + ", " + timesText(measuring.lab.seconds(), left);
}

/// The group's part of the default's runs.
double Screening::shareOf(const GroupTimes &times) const {
  double sum = 0;
  double total = 0;
  for (size_t shape = 0; shape < weights.size(); ++shape) {
    const std::vector<Round> &own = roundsOf(times.times)[shape];
    const std::vector<Round> &all = roundsOf(whole)[shape];
    std::vector<double> parts;
    for (size_t round = 0; round < all.size(); ++round)
      for (size_t arm = 0; arm < defaults; ++arm)
        if (own[round][arm] && all[round][arm])
          parts.push_back(*own[round][arm] / *all[round][arm]);
    if (!parts.empty())
      sum += weights[shape] * median(std::move(parts));
    total += weights[shape];
  }
  return sum / total;
}

Screened Screening::result() const {
  Screened screened{.clock = clock(), .rounds = roundsDone};
  for (const GroupTimes &group : groups)
    for (size_t i = 0; i < group.candidates.size(); ++i) {
      std::vector<double> ratios;
      for (const std::vector<Round> &rounds : roundsOf(group.times))
        if (const std::optional<double> one = ratioToDefault(rounds, defaults + i))
          ratios.push_back(*one);
      if (ratios.size() == weights.size())
        screened.ratios.emplace(group.candidates[i], std::move(ratios));
    }
  for (const GroupTimes &group : groups)
    screened.shares.push_back(shareOf(group));
  for (const std::vector<Round> &rounds : roundsOf(whole)) {
    screened.defaultRatios.push_back(ratioOfDefaults(rounds));
    screened.noise = std::max(screened.noise, spreadOfDefault(rounds));
  }
  for (const std::vector<Round> &rounds : whole.wall)
    screened.wallNoise = std::max(screened.wallNoise, spreadOfDefault(rounds));
  return screened;
}

} // namespace nysjit::tune
