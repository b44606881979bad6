// TUNE.json, key by key.
#include "runtime/tune/tune_file.h"
#include "runtime/cache/file.h"
#include "runtime/spec/config_table.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/schema.h"
#include "runtime/tune/keys.h"
#include "runtime/tune/tune_shapes.h"

#include <algorithm>
#include <array>

namespace nysjit::tune {

namespace {

constexpr const char *fileKeys[] = {"schema",  "specs",   "device",     "target",
                                    "threads", "shapes",  "parameters", "search",
                                    "budget",  "measure", "check"};
constexpr std::array clockNames = {"auto", "wall", "cpu"};

/// A KernelSpec in the file, or the path of one.
Result<KernelSpec> readSpec(const Json &value, const std::string &path, const std::string &folder) {
  if (value.is_object()) {
    Result<KernelSpec> spec = parseKernelSpec(value);
    return spec ? std::move(spec) : errorUnder(path, spec.error());
  }
  const char *expected = "a KernelSpec or the path of a file with one";
  if (!value.is_string() || value.text().empty())
    return keyError(path, expected, describeJson(value));
  const std::string name =
      value.text().starts_with('/') ? value.text() : folder + "/" + value.text();
  constexpr uint64_t mostBytes = uint64_t(1) << 20;
  OpenFile file(name);
  const std::optional<std::string> text =
      file.isOpen() ? file.readAll(mostBytes) : std::optional<std::string>();
  if (!text)
    return Error::mismatch(ErrorKind::InvalidFile, path, expected,
                           describeJson(value) + ": " + file.failure());
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(*text));
  if (spec)
    return spec;
  Error error = errorUnder(path, spec.error());
  error.message = describeName(value.text()) + ": " + error.message;
  return error;
}

Status readSpecs(const Keys &keys, const std::string &folder, TuneFile &file) {
  Result<const Json *> list = keys.array("specs", 1, 64);
  NYSJIT_RETURN_IF_ERROR(list);
  if (!*list)
    return keyError("specs", "an array of 1 to 64 KernelSpecs or paths of files", "no such key");
  std::vector<std::string> texts;
  for (size_t i = 0; i < (*list)->size(); ++i) {
    Result<KernelSpec> spec = readSpec((**list)[i], element("specs", i), folder);
    NYSJIT_RETURN_IF_ERROR(spec);
    const std::string text = canonicalJson(*spec);
    if (const auto equal = std::ranges::find(texts, text); equal != texts.end())
      return keyError(element("specs", i), "a spec that is not there yet",
                      "that of " + element("specs", size_t(equal - texts.begin())));
    texts.push_back(text);
    file.specs.push_back(std::move(*spec));
  }
  return {};
}

/// Where it is to run, and with how many threads.
Status readPlace(const Keys &keys, const AskedPlace &asked, TuneFile &file) {
  NYSJIT_RETURN_IF_ERROR(keys.text("device", file.device));
  if (!asked.device.empty())
    file.device = asked.device;
  else if (asked.target && asked.target->isCuda() && !keys.find("device"))
    file.device = deviceName(DeviceKind::Cuda);
  Result<DeviceKind> kind = parseDevice(file.device);
  NYSJIT_RETURN_IF_ERROR(kind);
  std::string target;
  NYSJIT_RETURN_IF_ERROR(keys.text("target", target));
  if (keys.find("target")) {
    Result<Target> named = parseTarget(target);
    NYSJIT_RETURN_IF_ERROR(named);
    NYSJIT_RETURN_IF_ERROR(checkTargetFits(*named, *kind));
    file.target = *named;
  }
  if (asked.target) {
    file.target = asked.target;
    NYSJIT_RETURN_IF_ERROR(checkTargetFits(*asked.target, *kind));
  }
  Result<const Json *> threads = keys.array("threads", 1, 64);
  NYSJIT_RETURN_IF_ERROR(threads);
  if (!*threads)
    return {};
  if (*kind != DeviceKind::Cpu)
    return keyError("threads", "no such key with device " + file.device, "an array");
  file.threads.clear();
  for (size_t i = 0; i < (*threads)->size(); ++i) {
    const Json &value = (**threads)[i];
    const double number = value.is_number_integer() ? value.get<double>() : 0;
    if (number < 1 || number > 1024 || std::ranges::count(file.threads, int(number)) != 0)
      return keyError(element("threads", i), "an integer, 1 to 1024, that is not there yet",
                      describeJson(value));
    file.threads.push_back(int(number));
  }
  return {};
}

/// One key's values: each what a KernelConfig may have there.
Status readValues(const std::string &kernel, const std::string &key, const Json &list,
                  std::vector<int> &values) {
  const std::string path = "parameters." + kernel + "." + describeName(key);
  if (!list.is_array() || list.size() == 0 || list.size() > 64)
    return keyError(path, "an array of 1 to 64 values",
                    list.is_array() ? "one of " + std::to_string(list.size()) : describeJson(list));
  const auto row = std::ranges::find(configTable(), key, &ConfigRow::name);
  for (size_t i = 0; i < list.size(); ++i) {
    Result<BlockConfig> block = parseBlockConfig(kernel, Json::object({{key, list[i]}}));
    if (!block) {
      const Error &error = block.error();
      return keyError(row == configTable().end() ? path : element(path, i), error.expected,
                      error.found);
    }
    const int value = *((*block).*row->member);
    if (std::ranges::count(values, value) != 0)
      return keyError(element(path, i), "a value that is not there yet", std::to_string(value));
    values.push_back(value);
  }
  return {};
}

Status readParameters(const Keys &keys, TuneFile &file) {
  const Json *kernels = keys.find("parameters");
  if (!kernels)
    return {};
  if (!kernels->is_object())
    return keyError("parameters", "an object of lists by kernel and key", describeJson(*kernels));
  for (const auto &[name, lists] : kernels->items()) {
    const std::string kernel = describeName(name);
    if (!lists.is_object())
      return keyError("parameters." + kernel, "an object of lists by key", describeJson(lists));
    auto &ofKernel = file.parameters[name];
    for (const auto &[key, list] : lists.items())
      NYSJIT_RETURN_IF_ERROR(readValues(kernel, key, list, ofKernel[key]));
  }
  return {};
}

/// The object under a key, as Keys; nothing where the key is absent.
Result<std::optional<Keys>> under(const Keys &keys, const char *name,
                                  std::span<const char *const> names) {
  const Json *object = keys.find(name);
  if (!object)
    return std::optional<Keys>();
  const Keys inner(*object, name);
  NYSJIT_RETURN_IF_ERROR(inner.check(names));
  return std::optional(inner);
}

Status readSearch(const Keys &keys, TuneFile &file) {
  constexpr const char *names[] = {"strategy", "seed"};
  Result<std::optional<Keys>> search = under(keys, "search", names);
  NYSJIT_RETURN_IF_ERROR(search);
  if (!*search)
    return {};
  std::string strategy = "exhaustive";
  NYSJIT_RETURN_IF_ERROR((*search)->text("strategy", strategy));
  if (strategy != "exhaustive")
    return keyError("search.strategy", "exhaustive", "\"" + describeName(strategy) + "\"");
  int64_t seed = 1;
  NYSJIT_RETURN_IF_ERROR((*search)->integer("seed", 0, int64_t(1) << 53, seed));
  file.seed = uint64_t(seed);
  return {};
}

Status readBudget(const Keys &keys, TuneFile &file) {
  constexpr const char *names[] = {"seconds", "configurations", "compile_seconds"};
  Result<std::optional<Keys>> budget = under(keys, "budget", names);
  NYSJIT_RETURN_IF_ERROR(budget);
  if (!*budget)
    return {};
  NYSJIT_RETURN_IF_ERROR((*budget)->number("seconds", 0.001, 1e7, file.seconds));
  NYSJIT_RETURN_IF_ERROR((*budget)->integer("configurations", 1, 1000000, file.configurations));
  return (*budget)->number("compile_seconds", 0.001, 3600, file.compileSeconds);
}

Status readMeasure(const Keys &keys, TuneFile &file) {
  constexpr const char *names[] = {"clock", "cold", "rounds", "pairs", "min_gain"};
  Result<std::optional<Keys>> measure = under(keys, "measure", names);
  NYSJIT_RETURN_IF_ERROR(measure);
  if (!*measure)
    return {};
  std::string clock = "auto";
  NYSJIT_RETURN_IF_ERROR((*measure)->text("clock", clock));
  const auto named = std::ranges::find(clockNames, clock);
  if (named == clockNames.end())
    return keyError("measure.clock", "auto, wall or cpu", "\"" + describeName(clock) + "\"");
  file.clock = Clock(named - clockNames.begin());
  if (file.clock == Clock::Cpu && file.device != deviceName(DeviceKind::Cpu))
    return keyError("measure.clock", "auto or wall with device " + file.device, "\"cpu\"");
  NYSJIT_RETURN_IF_ERROR((*measure)->boolean("cold", file.isCold));
  NYSJIT_RETURN_IF_ERROR((*measure)->integer("rounds", 4, 1000, file.rounds));
  NYSJIT_RETURN_IF_ERROR((*measure)->integer("pairs", 10, 1000, file.pairs));
  return (*measure)->number("min_gain", 0, 0.5, file.minGain);
}

} // namespace

const char *clockName(Clock clock) { return clockNames[size_t(clock)]; }

Result<TuneFile> parseTuneFile(std::string_view text, const std::string &folder,
                               const AskedPlace &asked) {
  Result<Json> object = parseJsonObject(text);
  NYSJIT_RETURN_IF_ERROR(object);
  NYSJIT_RETURN_IF_ERROR(checkSchema(*object));
  const Keys keys(*object, "");
  NYSJIT_RETURN_IF_ERROR(keys.check(fileKeys));
  TuneFile file;
  NYSJIT_RETURN_IF_ERROR(readSpecs(keys, folder, file));
  NYSJIT_RETURN_IF_ERROR(readPlace(keys, asked, file));
  Result<const Json *> shapes = keys.array("shapes", 1, 64);
  NYSJIT_RETURN_IF_ERROR(shapes);
  if (!*shapes)
    return keyError("shapes", "an array of 1 to 64 shapes", "no such key");
  Result<std::vector<TuneShape>> read = readShapes(**shapes, file.specs);
  NYSJIT_RETURN_IF_ERROR(read);
  file.shapes = std::move(*read);
  NYSJIT_RETURN_IF_ERROR(readParameters(keys, file));
  NYSJIT_RETURN_IF_ERROR(readSearch(keys, file));
  NYSJIT_RETURN_IF_ERROR(readBudget(keys, file));
  NYSJIT_RETURN_IF_ERROR(readMeasure(keys, file));
  if (file.device != deviceName(DeviceKind::Cpu))
    file.clock = Clock::Wall;
  NYSJIT_RETURN_IF_ERROR(keys.boolean("check", file.check));
  return file;
}

} // namespace nysjit::tune
