// First the journal's lines by spec and place, then a document for each group and shape.
#include "runtime/tune/t4.h"
#include "runtime/tune/journal.h"
#include "runtime/tune/statistics.h"

#include <map>
#include <optional>

namespace nysjit::tune {

namespace {

/// What was measured of one program's part in a group: times by shape and clock.
struct Samples {
  std::map<size_t, std::vector<double>> wall;
  std::map<size_t, std::vector<double>> cpu;
};

struct Measured {
  Json line; // of the candidate
  std::string date;
  Samples samples;
};

struct GroupResults {
  Json last; // its line; null: its rounds are under way
  Samples defaults[2];
  std::map<int, Measured> candidates; // by id
};

/// One spec on one device for one target: all sessions with these.
struct Part {
  Json session; // the last
  std::map<std::string, GroupResults> groups;
};

bool isOf(const Json &device, const char *kind) { return textOf(device, "kind") == kind; }

bool isOfSame(const Json &session, const Json &other) {
  return session["spec"] == other["spec"] && session["target"] == other["target"] &&
         session["device"] == other["device"];
}

void addRound(const Json &line, bool isWall, Part &part) {
  const auto shape = size_t(numberOf(line, "shape"));
  const Json &times = line[isWall ? "ms" : "cpu_ms"];
  const auto add = [&](const Json *time, Samples &samples) {
    if (time && time->is_number())
      (isWall ? samples.wall : samples.cpu)[shape].push_back(time->get<double>());
  };
  const auto at = [](const Json *list, size_t index) {
    return list && list->is_array() && index < list->size() ? &(*list)[index] : nullptr;
  };
  size_t number = 0;
  const Json &session = part.session;
  for (const Json &name : session["groups"].elements()) {
    GroupResults &group = part.groups[name.text()];
    add(at(times.find("0"), number), group.defaults[0]);
    add(at(times.find("0'"), number), group.defaults[1]);
    ++number;
    for (auto &[id, measured] : group.candidates)
      add(at(times.find(std::to_string(id)), 0), measured.samples);
  }
}

/// In the order in which the journal first has them.
std::vector<Part> partsOf(const std::vector<Json> &lines) {
  std::vector<Part> parts;
  Part *part = nullptr;
  for (const Json &line : lines) {
    const std::string kind = textOf(line, "kind");
    if (kind == "session") {
      part = nullptr;
      for (Part &each : parts)
        if (isOfSame(each.session, line))
          part = &each;
      if (!part)
        part = &parts.emplace_back();
      part->session = line;
    } else if (part && kind == "candidate") {
      const auto id = int(numberOf(line, "id"));
      part->groups[textOf(line, "group")].candidates[id] = {
          line, textOf(part->session, "session"), {}};
    } else if (part && kind == "round") {
      addRound(line, /*isWall=*/true, *part);
      addRound(line, /*isWall=*/false, *part);
    } else if (part && kind == "group") {
      part->groups[textOf(line, "group")].last = line;
    }
  }
  return parts;
}

/// {"landmark_target.block_m": 16, ...}
Json configurationOf(const Json &config) {
  Json flat = Json::object();
  for (const auto &[kernel, block] : config.items())
    for (const auto &[key, value] : block.items())
      flat[kernel + "." + key] = value;
  return flat;
}

/// Of the default, what the group's candidates are about.
Json defaultConfig(const Part &part, const GroupResults &group) {
  Json config = Json::object();
  for (const auto &[kernel, block] : part.session["default"].items())
    for (const auto &[id, measured] : group.candidates)
      if (measured.line["config"].contains(kernel))
        config[kernel] = block;
  return config;
}

Json measurement(const char *name, Json value, const char *unit) {
  return {{"name", name}, {"value", std::move(value)}, {"unit", unit}};
}

/// What Kernel Tuner writes in place of a time.
const char *failureOf(const std::string &invalidity) {
  return invalidity == "constraints"                          ? "InvalidConfig"
         : invalidity == "compile" || invalidity == "timeout" ? "CompilationFailedConfig"
                                                              : "RuntimeFailedConfig";
}

/// One result; `line` is null for the default.
struct Outcome {
  Json config;
  const Json &line;
  const std::string &date;
  const std::vector<double> &runtimes;
  std::optional<double> ratio;
  std::string clock;
};

Json resultObject(const Outcome &result) {
  const std::string given = textOf(result.line, "invalidity");
  const std::string invalidity = given.empty() ? "correct" : given;
  const double compileMs = numberOf(result.line, "compile_ms");
  double sum = 0;
  for (const double time : result.runtimes)
    sum += time;
  Json measurements = Json::array();
  if (result.runtimes.empty()) {
    measurements.push_back(measurement("time", failureOf(invalidity), ""));
  } else {
    measurements.push_back(measurement("time", median(result.runtimes), "ms"));
    measurements.push_back(measurement("clock", result.clock, ""));
  }
  if (result.ratio)
    measurements.push_back(measurement("ratio", *result.ratio, ""));
  for (const auto &[name, value] : result.line["resources"].items())
    measurements.push_back(
        measurement(name.c_str(), value, name.ends_with("_bytes") ? "bytes" : ""));
  return {{"timestamp", result.date},
          {"configuration", configurationOf(result.config)},
          {"objectives", Json::array({"time"})},
          {"times",
           {{"compilation_time", compileMs},
            {"compilation", compileMs},
            {"runtimes", Json::array({result.runtimes.begin(), result.runtimes.end()})},
            {"benchmark", sum},
            {"framework", 0},
            {"search_algorithm", 0},
            {"validation", numberOf(result.line, "check_ms")}}},
          {"invalidity", invalidity},
          {"correctness", invalidity == "correct" ? 1 : 0},
          {"measurements", std::move(measurements)}};
}

std::vector<double> runtimesOf(const Samples &samples, const std::string &clock, size_t shape) {
  const auto &byShape = clock == "cpu" ? samples.cpu : samples.wall;
  const auto found = byShape.find(shape);
  return found == byShape.end() ? std::vector<double>() : found->second;
}

Json resultsOf(const Part &part, const GroupResults &group, size_t shape) {
  const std::string named = textOf(group.last, "clock");
  const std::string clock = named.empty() ? "wall" : named;
  // The emulator's times are a model's word.
  const std::string shown = isOf(part.session["device"], "ptx-emulator") ? "model" : clock;
  const Json none;
  const std::string date = textOf(part.session, "session");
  Json results = Json::array();
  for (const Samples &arm : group.defaults)
    if (const std::vector<double> runtimes = runtimesOf(arm, clock, shape); !runtimes.empty())
      results.push_back(resultObject(
          {defaultConfig(part, group), none, date, runtimes, std::optional(1.0), shown}));
  for (const auto &[id, measured] : group.candidates) {
    const std::vector<double> runtimes = runtimesOf(measured.samples, clock, shape);
    if (runtimes.empty() && textOf(measured.line, "invalidity") == "correct")
      continue;
    std::optional<double> ratio;
    if (const Json *list = group.last["ratios"].find(std::to_string(id));
        list && list->is_array() && shape < list->size())
      ratio = (*list)[shape].get<double>();
    results.push_back(resultObject(
        {measured.line["config"], measured.line, measured.date, runtimes, ratio, shown}));
  }
  return results;
}

/// What readers show; a GPU's facts have no name of it.
std::string deviceText(const Json &session) {
  const Json &device = session["device"];
  if (isOf(device, "cpu"))
    return textOf(device, "vendor") + " " + textOf(device, "signature");
  const std::string name = textOf(session["about"], "gpu");
  return name.empty() ? textOf(device, "kind") : name;
}

Json metadataOf(const Part &part, const std::string &group, const Json &shape,
                const std::string &version) {
  const Json &device = part.session["device"];
  Json metadata = {{"device", deviceText(part.session)},
                   {"platform", "nysjit " + textOf(part.session, "target")},
                   {"autotuner", "nysjit"},
                   {"autotuner_version", version},
                   {"timestamp", textOf(part.session, "session")},
                   {"timeunit", "milliseconds"},
                   // Beyond the schema: what was tuned.
                   {"spec", part.session["spec"]},
                   {"device_facts", device},
                   {"compiler", part.session["compiler"]},
                   {"group", group},
                   {"shape", shape}};
  if (isOf(device, "cuda"))
    metadata["compute_api"] = "CUDA";
  return metadata;
}

} // namespace

std::vector<T4Document> t4Documents(const std::vector<Json> &lines, const std::string &version) {
  std::vector<T4Document> documents;
  size_t number = 0;
  for (const Part &part : partsOf(lines)) {
    const Json &spec = part.session["spec"];
    const Json *threads = part.session["device"].find("threads");
    const std::string head = std::to_string(number++) + "-" + textOf(spec, "layout") + "-" +
                             textOf(spec, "dtype") + (threads ? "-threads" + threads->dump() : "") +
                             "-";
    const std::vector<Json> &shapes = part.session["measure"]["shapes"].elements();
    for (const auto &[name, group] : part.groups)
      for (size_t shape = 0; shape < shapes.size(); ++shape) {
        Json results = resultsOf(part, group, shape);
        if (results.empty())
          continue;
        documents.push_back({head + name + "-shape" + std::to_string(shape) + ".json",
                             {{"schema_version", "1.1.0"},
                              {"metadata", metadataOf(part, name, shapes[shape], version)},
                              {"results", std::move(results)}}});
      }
  }
  return documents;
}

} // namespace nysjit::tune
