// From the journal's lines.
#include "runtime/tune/history.h"
#include "runtime/spec/json_text.h"

#include <algorithm>

namespace nysjit::tune {

namespace {

std::vector<double> numbersOf(const Json &list) {
  std::vector<double> numbers;
  for (const Json &number : list.elements())
    numbers.push_back(number.get<double>());
  return numbers;
}

/// The device without the number of threads, which a file may list.
Json machineOf(const Json &facts) {
  Json device = facts["device"];
  device.erase("threads");
  return device;
}

/// Whether a session is about what these facts are about.
bool isOfSame(const Json &session, const Json &facts) {
  return session["spec"] == facts["spec"] && session["target"] == facts["target"] &&
         session["device"] == facts["device"];
}

void addCandidate(const Json &line, History &history) {
  History::Known known{int(numberOf(line, "id", 0)),
                       textOf(line, "invalidity"),
                       textOf(line, "reason"),
                       numberOf(line, "compile_ms", 0),
                       {}};
  if (const Json *resources = line.find("resources"))
    known.resources = resourcesFrom(*resources);
  history.lastId = std::max(history.lastId, known.id);
  history.candidates[line["config"].dump()] = std::move(known);
}

void addGroup(const Json &line, size_t shapes, History &history) {
  History::Timed timed{.share = numberOf(line, "share", 0),
                       .noise = numberOf(line, "noise", 0),
                       .wallNoise = numberOf(line, "wall_noise", 0),
                       .rounds = std::max(int(numberOf(line, "rounds", 1)), 1),
                       .clock = textOf(line, "clock"),
                       .defaultRatios = numbersOf(line["aa"])};
  for (const auto &[id, ratios] : line["ratios"].items())
    if (std::vector<double> numbers = numbersOf(ratios); numbers.size() == shapes)
      timed.ratios.emplace(std::atoi(id.c_str()), std::move(numbers));
  history.groups[textOf(line, "group")] = std::move(timed);
}

} // namespace

Json sessionFacts(const KernelSpec &spec, const Place &place, const TuneFile &file) {
  Json shapes = Json::array();
  for (const TuneShape &shape : file.shapes)
    shapes.push_back(shapeObject(shape));
  return {{"schema", 1},
          {"spec", canonicalObject(spec)},
          {"target", place.target},
          {"device", place.device},
          {"compiler", place.compiler},
          {"measure",
           {{"shapes", std::move(shapes)},
            {"clock", clockName(file.clock)},
            {"cold", file.isCold},
            {"rounds", file.rounds},
            {"pairs", file.pairs},
            {"min_gain", file.minGain},
            {"check", file.check},
            {"seed", file.seed}}}};
}

Status checkSessions(const Journal &journal, const Json &facts, bool isShared) {
  for (const Json &line : journal.lines()) {
    if (textOf(line, "kind") != "session")
      continue;
    const bool isOther = isShared && !isOfSame(line, facts);
    for (const char *name : {"target", "compiler", "measure"})
      if (!(line[name] == facts[name]) && (!isOther || name == std::string_view("compiler")))
        return Error::mismatch(ErrorKind::Unavailable, journal.name(),
                               std::string("a journal of ") + name + " " + facts[name].dump() +
                                   " (--restart begins anew)",
                               line[name].dump());
    if (!(machineOf(line) == machineOf(facts)))
      return Error::mismatch(ErrorKind::Unavailable, journal.name(),
                             "a journal of device " + machineOf(facts).dump() +
                                 " (--restart begins anew)",
                             machineOf(line).dump());
  }
  return {};
}

History History::of(const std::vector<Json> &journal, const Json &facts) {
  History history;
  bool isOwn = false;
  for (const Json &line : journal) {
    const std::string kind = textOf(line, "kind");
    if (kind == "session")
      isOwn = isOfSame(line, facts);
    if (!isOwn)
      continue;
    if (kind == "candidate")
      addCandidate(line, history);
    else if (kind == "group")
      addGroup(line, facts["measure"]["shapes"].size(), history);
    else if (kind == "verify")
      history.verdicts[line["configs"].dump()] = line["shapes"];
    else if (kind == "done")
      history.done = line;
  }
  return history;
}

std::vector<GroupScores> recall(const History &history, Space &space) {
  std::vector<GroupScores> scores(space.groups.size());
  int next = history.lastId;
  for (size_t i = 0; i < space.candidates.size(); ++i) {
    Candidate &candidate = space.candidates[i];
    const auto known = history.candidates.find(blocksObject(candidate.blocks).dump());
    if (known == history.candidates.end()) {
      candidate.id = ++next;
      continue;
    }
    candidate.id = known->second.id;
    candidate.compileMs = known->second.compileMs;
    candidate.resources = known->second.resources;
    if (known->second.invalidity != "correct") {
      candidate.invalidity = known->second.invalidity;
      candidate.reason = known->second.reason;
    }
    const auto timed = history.groups.find(space.groups[candidate.group].name);
    if (timed == history.groups.end())
      continue;
    if (const auto own = timed->second.ratios.find(candidate.id); own != timed->second.ratios.end())
      scores[candidate.group].ratios.emplace(i, own->second);
  }
  for (size_t g = 0; g < scores.size(); ++g)
    if (const auto timed = history.groups.find(space.groups[g].name);
        timed != history.groups.end()) {
      scores[g].share = timed->second.share;
      scores[g].noise = timed->second.noise;
      scores[g].wallNoise = timed->second.wallNoise;
      scores[g].rounds = timed->second.rounds;
    }
  return scores;
}

} // namespace nysjit::tune
