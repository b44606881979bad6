// One spec: each step asks the journal first.
#include "runtime/tune/spec_tuner.h"

#include <algorithm>
#include <tuple>
#include <unistd.h>

namespace nysjit::tune {

SpecTuner::SpecTuner(const TuneRequest &request, const KernelSpec &spec, Lab &lab, Journal &journal,
                     ProgressLine &progress, double deadline)
    : request(request), spec(spec), lab(lab), journal(journal),
      measuring{lab, request.file, space, 0, deadline, progress, specTitle(spec)},
      place(lab.place()), facts(sessionFacts(spec, place, request.file)),
      history(History::of(journal.lines(), facts)) {}

Result<SpecReport> SpecTuner::run() {
  // What there is to try, and what is known of it.
  NYSJIT_RETURN_IF_ERROR(describe());
  scores = recall(history, space);
  const std::vector<size_t> candidates = open();
  const auto chosen = [&] { return chooseAll(space, scores, request.file.shapes); };
  if (candidates.empty() && recallVerdict(canonicalObject(configOf(space, chosen()))))
    return report(true);

  // What is new, then the verdict.
  NYSJIT_RETURN_IF_ERROR(beginSession());
  NYSJIT_RETURN_IF_ERROR(compileDefault());
  if (!candidates.empty())
    NYSJIT_RETURN_IF_ERROR(measure(candidates));
  NYSJIT_RETURN_IF_ERROR(decide(chosen()));
  return report(false);
}

Status SpecTuner::describe() {
  const auto planOf = [&](const KernelConfig &config) { return lab.plan(config); };
  Result<Kernels> kernels = kernelsOf(request.file.parameters, planOf);
  NYSJIT_RETURN_IF_ERROR(kernels);
  Result<Space> made = spaceOf(request.file.parameters, *kernels);
  NYSJIT_RETURN_IF_ERROR(made);
  space = std::move(*made);
  if (const std::vector<KernelConfig> offered = lab.offered(); !offered.empty())
    std::erase_if(space.candidates, [&](const Candidate &candidate) {
      return std::ranges::none_of(
          offered, [&](const KernelConfig &config) { return has(config, space, candidate); });
    });
  return {};
}

/// Candidates of which nothing is known yet, as many of a group as the budget has.
std::vector<size_t> SpecTuner::open() const {
  std::vector<size_t> candidates;
  std::vector<int> ofGroup(space.groups.size());
  const int most = request.file.configurations;
  for (size_t i = 0; i < space.candidates.size(); ++i) {
    const Candidate &candidate = space.candidates[i];
    if (++ofGroup[candidate.group] > most && most > 0)
      continue;
    if (candidate.invalidity.empty() && !scores[candidate.group].ratios.contains(i))
      candidates.push_back(i);
  }
  return candidates;
}

Status SpecTuner::beginSession() {
  Json line = facts;
  line["kind"] = "session";
  line["session"] = lab.date();
  line["pid"] = getpid();
  line["tune"] = {{"file", request.fileName}, {"hash", request.fileHash}};
  line["about"] = place.about;
  line["default"] = canonicalObject(space.defaults);
  line["groups"] = Json::array();
  for (const Group &group : space.groups)
    line["groups"].push_back(group.name);
  return journal.append({line});
}

/// Without the default there is nothing to compare with.
Status SpecTuner::compileDefault() {
  Result<Compiled> compiled = lab.compile(space.defaults);
  if (!compiled) {
    NYSJIT_RETURN_IF_ERROR(goOn(measuring));
    return Error::plain(ErrorKind::CompileFailed, "default",
                        "default: the default cannot be compiled: " + compiled.error().message);
  }
  measuring.defaultProgram = compiled->number;
  return runDefault(0);
}

/// And notes what it launches.
Status SpecTuner::runDefault(size_t shape) {
  NYSJIT_RETURN_IF_ERROR(goOn(measuring));
  const Result<RunTime> ran = lab.run(measuring.defaultProgram, shape);
  if (!ran)
    return Error::plain(ran.error().kind, "default",
                        "default: the default cannot be run: " + ran.error().message);
  for (const auto &[kernel, time] : ran->kernels)
    measuring.launched.insert(kernel);
  return {};
}

Status SpecTuner::measure(const std::vector<size_t> &candidates) {
  measuring.progress.beginPhase("tuning " + measuring.name + ", " +
                                std::to_string(candidates.size()) + " candidates in " +
                                std::to_string(space.groups.size()) + " groups");
  for (size_t shape = 1; shape < request.file.shapes.size(); ++shape)
    NYSJIT_RETURN_IF_ERROR(runDefault(shape));
  Preparation preparation(measuring, space, place, journal);
  Result<std::vector<Arm>> arms = preparation.prepare(candidates);
  NYSJIT_RETURN_IF_ERROR(arms);
  const auto isFailed = [&](size_t i) {
    const std::string &invalidity = space.candidates[i].invalidity;
    return !invalidity.empty() && invalidity != "constraints";
  };
  if (std::ranges::all_of(candidates, isFailed) && candidates.size() > 0 &&
      std::ranges::all_of(scores, [](const GroupScores &own) { return own.ratios.empty(); }))
    return Error::plain(ErrorKind::CompileFailed, "tune",
                        "tune: every candidate failed; the first: " +
                            space.candidates[candidates.front()].reason);
  if (arms->empty())
    return {};
  Screening screening(measuring, *arms, journal);
  Result<Screened> screened = screening.run();
  NYSJIT_RETURN_IF_ERROR(screened);
  for (const Arm &arm : *arms)
    lab.release(arm.program);
  return journalGroups(*screened);
}

/// What was measured beside what was known: all that the choice is made from.
Status SpecTuner::journalGroups(const Screened &screened) {
  for (const auto &[index, ratios] : screened.ratios)
    scores[space.candidates[index].group].ratios[index] = ratios;
  std::vector<Json> lines;
  for (size_t g = 0; g < space.groups.size(); ++g) {
    GroupScores &own = scores[g];
    own.share = screened.shares[g];
    own.noise = screened.noise;
    own.wallNoise = screened.wallNoise;
    own.rounds = screened.rounds;
    const Choice choice = choose(space, g, own, request.file.shapes);
    Json tied = Json::array();
    for (const size_t index : choice.tied)
      tied.push_back(space.candidates[index].id);
    // Those of values that the file has no longer stay known.
    Json ratios = Json::object();
    if (const auto before = history.groups.find(space.groups[g].name);
        before != history.groups.end())
      for (const auto &[id, numbers] : before->second.ratios)
        ratios[std::to_string(id)] = Json::array({numbers.begin(), numbers.end()});
    for (const auto &[index, numbers] : own.ratios)
      ratios[std::to_string(space.candidates[index].id)] =
          Json::array({numbers.begin(), numbers.end()});
    Json aa = Json::array({screened.defaultRatios.begin(), screened.defaultRatios.end()});
    lines.push_back({{"kind", "group"},
                     {"group", space.groups[g].name},
                     {"of", space.groups.size()},
                     {"best", choice.candidate ? space.candidates[*choice.candidate].id : 0},
                     {"tied", std::move(tied)},
                     {"ratio", choice.ratio},
                     {"ratios", std::move(ratios)},
                     {"share", own.share},
                     {"noise", own.noise},
                     {"wall_noise", own.wallNoise},
                     {"clock", clockName(screened.clock)},
                     {"rounds", own.rounds},
                     {"aa", std::move(aa)}});
    history.groups[space.groups[g].name].clock = clockName(screened.clock);
  }
  return journal.append(lines, /*isVerdict=*/true);
}

/// The choice against the default, unless the journal has that already.
Result<bool> SpecTuner::isBetter(const std::vector<Chosen> &choices, int attempt) {
  const KernelConfig config = configOf(space, choices);
  const Json object = canonicalObject(config);
  if (const auto known = history.verdicts.find(object.dump()); known != history.verdicts.end())
    if ((verdict = verdictFrom(known->second, request.file)))
      return verdict->isFaster;
  Result<Compiled> compiled = lab.compile(config);
  if (!compiled) {
    NYSJIT_RETURN_IF_ERROR(goOn(measuring));
    if (compiled.error().kind == ErrorKind::Unavailable && !lab.offered().empty())
      return Error::plain(
          ErrorKind::Unavailable, "--bundle",
          "the bundle has not the choice, " + object.dump() +
              ", and there is no compiler here: `nysjit tune --compile-only` beside "
              "this journal adds it, then `--resume` goes on");
    measuring.progress.say("the choice cannot be compiled: " + compiled.error().message);
    isChoiceFailed = true;
    return false;
  }
  // Candidates that are right one by one might not be so together.
  Preparation preparation(measuring, space, place, journal);
  Result<std::string> wrong = preparation.whatIsWrong(compiled->number);
  NYSJIT_RETURN_IF_ERROR(wrong);
  if (!wrong->empty()) {
    measuring.progress.say("the choice " + object.dump() + ": " + *wrong);
    lab.release(compiled->number);
    isChoiceFailed = true;
    return false;
  }
  measuring.progress.beginPhase("comparing the choice for " + measuring.name + " with the default");
  Result<Verdict> made = verify(measuring, compiled->number, attempt);
  lab.release(compiled->number);
  NYSJIT_RETURN_IF_ERROR(made);
  verdict = std::move(*made);
  sayIfClockMoved();
  NYSJIT_RETURN_IF_ERROR(journal.append({{{"kind", "verify"},
                                          {"configs", object},
                                          {"shapes", verdictObject(*verdict, request.file)},
                                          {"ratio", verdict->ratio},
                                          {"conditions", lab.conditions()},
                                          {"verdict", verdict->isFaster ? "faster" : "default"}}},
                                        /*isVerdict=*/true));
  return verdict->isFaster;
}

/// Then the default and the choice were not run under the same conditions.
void SpecTuner::sayIfClockMoved() const {
  constexpr double much = 1.1;
  const Json conditions = lab.conditions();
  const Json *clock = conditions.find("sm_clock_mhz");
  if (clock && clock->elements()[1].get<double>() > much * clock->elements()[0].get<double>())
    measuring.progress.say("the GPU's clock was between " + clock->elements()[0].dump() + " and " +
                           clock->elements()[1].dump() + " MHz while the choice was compared");
}

/// A choice that is refused is tried again without the group that it gains least of.
Status SpecTuner::decide(const std::vector<Chosen> &first) {
  std::vector<Chosen> choices;
  bool isFaster = false;
  double last = 0; // seconds of the last comparison
  std::optional<Verdict> open;
  int attempt = 0;
  for (const std::vector<Chosen> &each : attemptsOf(first, scores)) {
    const double start = lab.seconds();
    if (isFaster || (attempt > 0 && start + last > measuring.deadline))
      break;
    Result<bool> better = isBetter(each, attempt++);
    NYSJIT_RETURN_IF_ERROR(better);
    isFaster = *better;
    choices = each;
    last = lab.seconds() - start;
    if (!isFaster && !open && verdict && refusalOf(*verdict, request.file) == Refusal::Noise)
      open = verdict;
  }
  if (!isFaster && open)
    verdict = std::move(open);
  finish(isFaster, choices);
  Json line = {{"kind", "done"},
               {"verdict", isFaster ? "faster" : "default"},
               {"choice", canonicalObject(configOf(space, first))},
               {"seconds", lab.seconds()},
               {"entry",
                {{"spec", facts["spec"]},
                 {"target", entry.target},
                 {"device", entry.device},
                 {"compiler", entry.compiler},
                 {"config", canonicalObject(entry.config)},
                 {"tuned", entry.tuned}}}};
  return journal.append({line}, /*isVerdict=*/true);
}

} // namespace nysjit::tune
