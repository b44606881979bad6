// Reading, writing and merging of configs.json.
#include "runtime/configs/configs_file.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/schema.h"

#include <algorithm>
#include <map>

namespace nysjit {

namespace {

/// The error under the entry's own place: "entries[1].spec.head_dim".
Error under(const std::string &place, const Error &error) {
  return Error::mismatch(error.kind == ErrorKind::InvalidJson ? ErrorKind::InvalidKey : error.kind,
                         place + "." + error.where, error.expected, error.found);
}

Error wrong(const std::string &where, const char *expected, const Json *found) {
  return Error::mismatch(ErrorKind::InvalidKey, where, expected,
                         found ? describeJson(*found) : "nothing");
}

Status checkMembers(const Json &object, const std::string &place) {
  for (const auto &[name, value] : object.items())
    if (name != "spec" && name != "target" && name != "device" && name != "compiler" &&
        name != "config" && name != "tuned")
      return Error::mismatch(ErrorKind::InvalidKey, place + "." + describeName(name),
                             "spec, target, device, compiler, config or tuned",
                             "\"" + describeName(name) + "\"");
  for (const char *name : {"spec", "device", "config"})
    if (const Json *found = object.find(name); !found || !found->is_object())
      return wrong(place + "." + name, "an object", found);
  for (const char *name : {"target", "compiler"})
    if (const Json *found = object.find(name); !found || !found->is_string())
      return wrong(place + "." + name, "a text", found);
  if (const Json *found = object.find("tuned"); found && !found->is_object())
    return wrong(place + ".tuned", "an object", found);
  return {};
}

Result<TunedConfig> entryFromJson(const Json &object, const std::string &place) {
  if (!object.is_object())
    return wrong(place, "an object", &object);
  NYSJIT_RETURN_IF_ERROR(checkMembers(object, place));
  Result<KernelSpec> spec = parseKernelSpec(*object.find("spec"));
  if (!spec)
    return under(place + ".spec", spec.error());
  Result<Target> target = parseTarget(object.find("target")->text());
  if (!target)
    return Error::mismatch(ErrorKind::InvalidKey, place + ".target", target.error().expected,
                           target.error().found);
  Result<KernelConfig> config = parseKernelConfig(*object.find("config"));
  if (!config)
    return under(place + ".config", config.error());
  TunedConfig entry{canonicalJson(*spec), targetName(*target), *object.find("device"),
                    object.find("compiler")->text(), std::move(*config)};
  if (const Json *tuned = object.find("tuned"))
    entry.tuned = *tuned;
  return entry;
}

/// An entry as its line.
std::string lineOf(const TunedConfig &entry) {
  Result<Json> spec = parseJsonObject(entry.specJson);
  return Json{{"spec", spec ? *spec : Json::object()},
              {"target", entry.target},
              {"device", entry.device},
              {"compiler", entry.compiler},
              {"config", canonicalObject(entry.config)},
              {"tuned", entry.tuned}}
      .dump();
}

} // namespace

std::string TunedConfig::key() const {
  return specJson + "\n" + target + "\n" + device.dump() + "\n" + compiler;
}

std::string TunedConfig::date() const {
  const Json *found = tuned.find("date");
  return found && found->is_string() ? found->text() : "";
}

const TunedConfig *ConfigsFile::find(const ConfigQuery &query, ConfigMatch &match) const {
  const TunedConfig *best = nullptr;
  match = ConfigMatch::None;
  for (const TunedConfig &entry : entries) {
    if (entry.specJson != query.specJson || entry.target != query.target ||
        !(entry.device == query.device))
      continue;
    const bool isFit = query.compiler.empty() || entry.compiler == query.compiler;
    // Where the build is not known here, the newest.
    if (!best || (isFit && match == ConfigMatch::Stale) || entry.date() > best->date())
      if (isFit || match != ConfigMatch::Fits) {
        best = &entry;
        match = isFit ? ConfigMatch::Fits : ConfigMatch::Stale;
      }
  }
  return best;
}

const TunedConfig *ConfigsFile::findForTarget(const std::string &specJson,
                                              const std::string &target) const {
  const TunedConfig *best = nullptr;
  for (const TunedConfig &entry : entries)
    if (entry.specJson == specJson && entry.target == target &&
        (!best || entry.date() > best->date()))
      best = &entry;
  return best;
}

const TunedConfig *ConfigsFile::findKey(const std::string &key) const {
  const auto found = std::ranges::find(entries, key, &TunedConfig::key);
  return found == entries.end() ? nullptr : &*found;
}

Result<ConfigChoice> parseConfigChoice(std::string_view text) {
  Result<Json> document = parseJsonObject(text);
  NYSJIT_RETURN_IF_ERROR(document);
  if (isConfigsFile(*document)) {
    Result<ConfigsFile> file = parseConfigsFile(*document);
    NYSJIT_RETURN_IF_ERROR(file);
    return ConfigChoice{std::nullopt, std::move(*file)};
  }
  Result<KernelConfig> config = parseKernelConfig(*document);
  NYSJIT_RETURN_IF_ERROR(config);
  return ConfigChoice{std::move(*config), std::nullopt};
}

bool isConfigsFile(const Json &document) {
  return document.is_object() && document.contains("entries");
}

Result<ConfigsFile> parseConfigsFile(const Json &document) {
  NYSJIT_RETURN_IF_ERROR(checkSchema(document));
  for (const auto &[name, value] : document.items())
    if (name != "schema" && name != "entries")
      return Error::mismatch(ErrorKind::InvalidKey, describeName(name), "schema or entries",
                             "\"" + describeName(name) + "\"");
  const Json *entries = document.find("entries");
  if (!entries || !entries->is_array())
    return wrong("entries", "an array", entries);
  ConfigsFile file;
  for (size_t i = 0; i < entries->size(); ++i) {
    Result<TunedConfig> entry = entryFromJson((*entries)[i], "entries[" + std::to_string(i) + "]");
    NYSJIT_RETURN_IF_ERROR(entry);
    mergeConfigs(file, {{std::move(*entry)}}); // of equal ones the later
  }
  return file;
}

Result<ConfigsFile> parseConfigsFile(std::string_view text) {
  Result<Json> document = parseJsonObject(text);
  if (!document)
    return document.takeError();
  return parseConfigsFile(*document);
}

std::string configsText(const ConfigsFile &file) {
  std::string text = "{\"schema\": 1, \"entries\": [";
  for (size_t i = 0; i < file.entries.size(); ++i)
    text += (i == 0 ? "\n" : ",\n") + lineOf(file.entries[i]);
  return text + "\n]}\n";
}

MergeReport mergeConfigs(ConfigsFile &into, const ConfigsFile &from) {
  std::map<std::string, TunedConfig> byKey;
  for (TunedConfig &entry : into.entries)
    byKey.emplace(entry.key(), std::move(entry));
  MergeReport report;
  for (const TunedConfig &entry : from.entries) {
    const auto [there, isNew] = byKey.try_emplace(entry.key(), entry);
    const bool isLater =
        entry.date() > there->second.date() ||
        (entry.date() == there->second.date() && lineOf(entry) < lineOf(there->second));
    if (!isNew && isLater)
      there->second = entry;
    (isNew ? report.added : isLater ? report.replaced : report.kept) += 1;
  }
  into.entries.clear();
  for (auto &[key, entry] : byKey)
    into.entries.push_back(std::move(entry));
  return report;
}

} // namespace nysjit
