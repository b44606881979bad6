// Tables in text.
#include "runtime/tune/report.h"
#include "runtime/base/format.h"

#include <algorithm>

namespace nysjit::tune {

namespace {

constexpr size_t mostRows = 8; // of a group's table

std::string candidateLine(const CandidateReport &one) {
  std::string line = format("    %-22s", blocksText(one.candidate.blocks).c_str());
  if (one.ratios.empty())
    return line + (one.candidate.invalidity.empty()
                       ? "not timed\n"
                       : one.candidate.invalidity + ": " + one.candidate.reason + "\n");
  line += format("%6.3f  ", one.ratio);
  if (one.ratios.size() > 1)
    for (const double ratio : one.ratios)
      line += format(" %6.3f", ratio);
  return line + (one.isChosen ? "  *\n" : "\n");
}

std::string groupText(const GroupReport &group) {
  std::string text = "  " + group.group.name + "\n";
  text += format("    %-22s%6.3f    default\n", blocksText(group.group.defaults).c_str(), 1.0);
  size_t rows = 0;
  size_t left = 0;
  size_t unfit = 0;
  std::string reason; // of the first of those
  for (const CandidateReport &one : group.candidates)
    if (one.candidate.invalidity == "constraints") {
      reason = unfit++ == 0 ? one.candidate.reason : reason;
    } else if (rows < mostRows || !one.candidate.invalidity.empty()) {
      text += candidateLine(one);
      ++rows;
    } else {
      ++left;
    }
  if (left)
    text += "    and " + std::to_string(left) + " more\n";
  if (unfit)
    text += "    left out: " + std::to_string(unfit) + (unfit > 1 ? ", the first: " : ": ") +
            reason + "\n";
  for (const auto &[kernel, block] : group.group.defaults)
    text += heatMap(group, kernel);
  return text;
}

/// "the default stands: ...", a line.
std::string refusalText(const SpecReport &report) {
  const std::string &reason = report.entry.tuned["reason"].text();
  const std::string text = "  the default stands: ";
  const std::string ratio = report.verdict ? format("%.3f of its time", report.verdict->ratio) : "";
  if (reason == "noise")
    return text +
           format("the noise is too high for a verdict, two of its runs differ by %.1f %%",
                  100 * report.wallNoise) +
           (ratio.empty() ? "; what seems faster is within that\n"
                          : "; the choice seems to take " + ratio + "\n");
  if (!report.verdict)
    return text + (reason == "failed" ? "the choice cannot be used\n"
                                      : "nothing was worth a comparison\n");
  return text +
         (reason == "slower" ? "the choice is slower at a shape: "
                             : "the choice was not faster beyond doubt: ") +
         ratio + "\n";
}

std::string verdictText(const SpecReport &report, const TuneFile &file) {
  const bool isFaster = report.entry.config != KernelConfig();
  std::string text = isFaster ? format("  faster than the default: %.3f of its time\n",
                                       report.verdict ? report.verdict->ratio : 0)
                              : refusalText(report);
  if (!report.verdict)
    return text;
  for (size_t i = 0; i < report.verdict->shapes.size(); ++i) {
    const ShapeVerdict &shape = report.verdict->shapes[i];
    text += format("    %-22s%6.3f   %.4g ms, default %.4g ms, %d of %d pairs won\n",
                   shapeText(file.shapes[i]).c_str(), shape.ratio, shape.ms, shape.defaultMs,
                   shape.wins, shape.pairs);
  }
  return text;
}

Json groupObject(const GroupReport &group) {
  Json candidates = Json::array();
  for (const CandidateReport &one : group.candidates) {
    Json object = {{"id", one.candidate.id},
                   {"config", blocksObject(one.candidate.blocks)},
                   {"invalidity", one.candidate.invalidity.empty() ? std::string("correct")
                                                                   : one.candidate.invalidity},
                   {"is_chosen", one.isChosen}};
    if (!one.candidate.reason.empty())
      object["reason"] = one.candidate.reason;
    if (!one.ratios.empty()) {
      object["ratio"] = one.ratio;
      object["ratios"] = Json::array({one.ratios.begin(), one.ratios.end()});
    }
    candidates.push_back(std::move(object));
  }
  return {{"group", group.group.name},
          {"default", blocksObject(group.group.defaults)},
          {"candidates", std::move(candidates)}};
}

bool isModel(const TunedConfig &entry) {
  const Json *objective = entry.tuned.find("objective");
  return objective && *objective == Json("model");
}

/// What the numbers of the tables are.
std::string measureText(const SpecReport &one) {
  if (one.rounds == 0)
    return "";
  if (isModel(one.entry))
    return ": time over the default's, of a model of the counts. num_stages, occupancy and balance "
           "were not measured";
  return format(": time over the default's, %d rounds, %s clock, noise %.1f %%", one.rounds,
                one.clock.c_str(), 100 * one.noise);
}

} // namespace

std::string placeText(const TunedConfig &entry) {
  if (const Json *threads = entry.device.find("threads"))
    return entry.target + ", " + threads->dump() + " threads";
  const Json *about = entry.tuned.find("about");
  const Json *gpu = about ? about->find("gpu") : nullptr;
  return entry.target + " on " +
         (gpu && gpu->is_string() ? gpu->text() : entry.device["kind"].text());
}

std::optional<HeatMap> heatMapOf(const GroupReport &group, const std::string &kernel) {
  const BlockConfig &own = group.group.defaults.at(kernel);
  if (!own.blockM || !own.blockN)
    return std::nullopt;
  HeatMap map;
  map.ofDefault = {*own.blockM, *own.blockN};
  map.ratios[map.ofDefault] = 1;
  for (const CandidateReport &one : group.candidates) {
    const auto block = one.candidate.blocks.find(kernel);
    if (one.ratios.empty() || block == one.candidate.blocks.end())
      continue;
    const HeatMap::Cell cell(block->second.blockM.value_or(0), block->second.blockN.value_or(0));
    const auto [at, isNew] = map.ratios.emplace(cell, one.ratio);
    at->second = std::min(at->second, one.ratio);
    if (one.isChosen)
      map.chosen = cell;
  }
  for (const auto &[cell, ratio] : map.ratios) {
    map.rows.insert(cell.first);
    map.columns.insert(cell.second);
  }
  return map;
}

std::string heatMap(const GroupReport &group, const std::string &kernel) {
  const std::optional<HeatMap> map = heatMapOf(group, kernel);
  if (!map)
    return "";
  std::string text = format("    %-14s", kernel.c_str());
  for (const int n : map->columns)
    text += format("%9d", n);
  text += "\n";
  for (const int m : map->rows) {
    text += format("    %14d", m);
    for (const int n : map->columns) {
      const HeatMap::Cell cell(m, n);
      const auto ratio = map->ratios.find(cell);
      const std::string number = ratio == map->ratios.end() ? "." : format("%.3f", ratio->second);
      text += format("%9s", ((cell == map->ofDefault ? "[" + number + "]" : number) +
                             (cell == map->chosen ? "*" : " "))
                                .c_str());
    }
    text += "\n";
  }
  return text;
}

std::string reportText(const TuneReport &report, const TuneFile &file) {
  std::string text;
  for (const SpecReport &one : report.specs) {
    text += specTitle(one.spec) + " for " + placeText(one.entry) + measureText(one);
    text += one.isFromJournal ? " (from the journal)\n" : "\n";
    for (const GroupReport &group : one.groups)
      text += groupText(group);
    text += verdictText(one, file);
  }
  return text;
}

Json reportObject(const TuneReport &report) {
  Json specs = Json::array();
  for (const SpecReport &one : report.specs) {
    Json groups = Json::array();
    for (const GroupReport &group : one.groups)
      groups.push_back(groupObject(group));
    specs.push_back({{"spec", canonicalObject(one.spec)},
                     {"target", one.entry.target},
                     {"device", one.entry.device},
                     {"config", canonicalObject(one.entry.config)},
                     {"tuned", one.entry.tuned},
                     {"clock", one.clock},
                     {"rounds", one.rounds},
                     {"from_journal", one.isFromJournal},
                     {"groups", std::move(groups)}});
  }
  Json wrong = Json::array();
  for (const std::string &each : report.wrong)
    wrong.push_back(each);
  return {{"specs", std::move(specs)}, {"wrong", std::move(wrong)}, {"seconds", report.seconds}};
}

} // namespace nysjit::tune
