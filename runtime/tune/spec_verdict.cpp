// What a spec's tune came to: its entry of configs.json, and its report.
#include "runtime/tune/spec_tuner.h"

#include <algorithm>
#include <tuple>

namespace nysjit::tune {

void SpecTuner::finish(bool isFaster, const std::vector<Chosen> &choices) {
  size_t timed = 0;
  for (const GroupScores &own : scores)
    timed = std::max(timed, own.ratios.size());
  Json tuned = {{"verdict", isFaster ? "faster" : "default"},
                {"date", lab.date()},
                {"version", request.version},
                {"objective", place.objective()},
                {"noise", noise()},
                {"wall_noise", wallNoise()},
                {"configurations", timed},
                {"shapes", shapesObject()},
                {"about", place.about}};
  if (!isFaster)
    tuned["reason"] = reason();
  if (const Json conditions = lab.conditions(); conditions.size() > 0)
    tuned["conditions"] = conditions;
  entry = {canonicalJson(spec),
           place.target,
           place.device,
           place.compiler,
           isFaster ? configOf(space, choices) : KernelConfig(),
           std::move(tuned)};
}

/// Why the default stands: "noise" where something seems to gain enough, and the noise is too high
/// to tell; else what the comparison said.
const char *SpecTuner::reason() const {
  double hidden = 0; // of the whole program's time
  for (size_t g = 0; g < space.groups.size(); ++g)
    hidden += (1 - choose(space, g, scores[g], request.file.shapes).hidden) * scores[g].share;
  const std::optional<Refusal> refusal =
      verdict ? std::optional(refusalOf(*verdict, request.file)) : std::nullopt;
  if (refusal == Refusal::Noise || (hidden > 0 && hidden >= request.file.minGain))
    return "noise";
  if (!refusal && isChoiceFailed)
    return "failed";
  return refusal == Refusal::Slower ? "slower" : "no_gain";
}

/// What was tuned for, with the comparison's pairs where there was one.
Json SpecTuner::shapesObject() const {
  if (verdict)
    return verdictObject(*verdict, request.file);
  Json shapes = Json::array();
  for (const TuneShape &shape : request.file.shapes)
    shapes.push_back(shapeObject(shape));
  return shapes;
}

/// The verdict that the journal has on this choice.
bool SpecTuner::recallVerdict(const Json &choice) {
  if (!history.done || !((*history.done)["choice"] == choice))
    return false;
  Json document = {{"schema", 1}, {"entries", Json::array({(*history.done)["entry"]})}};
  Result<ConfigsFile> file = parseConfigsFile(document);
  if (!file || file->entries.size() != 1)
    return false;
  entry = file->entries.front();
  if (const Json *shapes = entry.tuned.find("shapes"))
    verdict = verdictFrom(*shapes, request.file);
  return true;
}

double SpecTuner::noise() const {
  double most = 0;
  for (const GroupScores &own : scores)
    most = std::max(most, own.noise);
  return most;
}

double SpecTuner::wallNoise() const {
  return scores.empty() ? 0 : std::ranges::max(scores, {}, &GroupScores::wallNoise).wallNoise;
}

std::vector<std::string> SpecTuner::wrong() const {
  std::vector<std::string> all;
  for (const Candidate &candidate : space.candidates)
    if (candidate.invalidity == "correctness")
      all.push_back(measuring.name + ": " + space.groups[candidate.group].name + " " +
                    blocksText(candidate.blocks) + ": " + candidate.reason);
  return all;
}

SpecReport SpecTuner::report(bool isFromJournal) const {
  SpecReport report{.spec = spec,
                    .entry = entry,
                    .verdict = verdict,
                    .noise = noise(),
                    .wallNoise = wallNoise(),
                    .isFromJournal = isFromJournal};
  const std::vector<Chosen> choices = chooseAll(space, scores, request.file.shapes);
  for (size_t g = 0; g < space.groups.size(); ++g) {
    report.rounds = std::max(report.rounds, scores[g].ratios.empty() ? 0 : scores[g].rounds);
    if (const auto known = history.groups.find(space.groups[g].name); known != history.groups.end())
      report.clock = known->second.clock;
    GroupReport group{space.groups[g], {}};
    for (size_t i = 0; i < space.candidates.size(); ++i) {
      if (space.candidates[i].group != g)
        continue;
      CandidateReport one{space.candidates[i], {}, 0, false};
      if (const auto ratios = scores[g].ratios.find(i); ratios != scores[g].ratios.end()) {
        one.ratios = ratios->second;
        one.ratio = weightedOver(one.ratios, request.file.shapes);
      }
      one.isChosen = std::ranges::any_of(
          choices, [&](const Chosen &each) { return each.choice.candidate == i; });
      group.candidates.push_back(std::move(one));
    }
    std::ranges::sort(group.candidates, {}, [](const CandidateReport &one) {
      return std::tuple(one.ratios.empty(), one.ratio, one.candidate.id);
    });
    report.groups.push_back(std::move(group));
  }
  return report;
}

} // namespace nysjit::tune
