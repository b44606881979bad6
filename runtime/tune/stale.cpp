// Entries by what they are for; then this machine's.
#include "runtime/tune/stale.h"
#include "runtime/device/cpu_identity.h"
#include "runtime/spec/target.h"

#include <algorithm>
#include <map>

namespace nysjit::tune {

namespace {

using Entries = std::vector<const TunedConfig *>;

/// By spec, target and device, whatever the build.
std::map<std::string, Entries> byPurpose(const ConfigsFile &configs) {
  std::map<std::string, Entries> all;
  for (const TunedConfig &entry : configs.entries)
    all[entry.specJson + "\n" + entry.target + "\n" + entry.device.dump()].push_back(&entry);
  return all;
}

/// A shape as TUNE.json has it, from one with its pairs.
Json shapeOf(const Json &recorded, const KernelSpec &spec) {
  if (!recorded.is_object())
    return recorded;
  Json shape = Json::object();
  for (const char *name : {"length", "batch", "heads", "kv_heads", "weight", "sequences"})
    if (const Json *value = recorded.find(name))
      shape[name] = *value;
  if (shape.contains("sequences"))
    shape.erase("batch");
  if (const Json *length = recorded.find("source_len"); spec.layout == Layout::PrefixLm)
    shape["source_len"] = length ? *length : Json(0);
  return shape;
}

/// The entry's TUNE.json; with `shapes` null for the place alone.
Result<TuneFile> fileOf(const TunedConfig &entry, const KernelSpec &spec, const Json *shapes) {
  Json list = Json::array();
  if (shapes)
    for (const Json &each : shapes->elements())
      list.push_back(shapeOf(each, spec));
  else
    list.push_back(shapeOf({{"length", 1}}, spec));
  Json document = {{"specs", Json::array({canonicalObject(spec)})},
                   {"device", entry.device["kind"]},
                   {"target", entry.target},
                   {"shapes", std::move(list)}};
  if (const Json *threads = entry.device.find("threads"))
    document["threads"] = Json::array({*threads});
  return parseTuneFile(document.dump(), ".");
}

bool isOfCpu(const TunedConfig &entry) { return entry.device["kind"] == Json("cpu"); }

/// Nothing where the entry is of another machine, by its target or device.
Result<std::optional<Place>> placeHere(const TunedConfig &entry, const KernelSpec &spec,
                                       const PlaceMaker &placeOf) {
  const Result<Target> target = parseTarget(entry.target);
  const Result<TuneFile> file = fileOf(entry, spec, nullptr);
  if (!file || !target || (isOfCpu(entry) && !checkTargetRunsOn(*target, hostCpu())))
    return std::optional<Place>();
  Result<Place> place = placeOf(*file);
  NYSJIT_RETURN_IF_ERROR(place);
  if (!(place->device == entry.device))
    return std::optional<Place>();
  return std::optional(std::move(*place));
}

/// Into the parts, or left.
void add(const TunedConfig &entry, const KernelSpec &spec, StaleConfigs &stale) {
  const Json *shapes = entry.tuned.find("shapes");
  if (!shapes || !shapes->is_array() || shapes->empty()) {
    stale.left.push_back({entry, "tuned.shapes does not say which shapes it was tuned for"});
    return;
  }
  Result<TuneFile> file = fileOf(entry, spec, shapes);
  if (file)
    stale.parts.push_back({entry, std::move(*file)});
  else
    stale.left.push_back({entry, "tuned." + file.error().message});
}

} // namespace

Result<StaleConfigs> findStale(const ConfigsFile &configs, const std::string &device,
                               const PlaceMaker &placeOf) {
  StaleConfigs stale;
  for (const auto &[purpose, entries] : byPurpose(configs)) {
    const TunedConfig &newest = **std::ranges::max_element(
        entries, {}, [](const TunedConfig *entry) { return entry->date(); });
    const Result<KernelSpec> spec = parseKernelSpec(std::string_view(newest.specJson));
    if (!spec || !(newest.device["kind"] == Json(device))) {
      stale.elsewhere += entries.size();
      continue;
    }
    Result<std::optional<Place>> place = placeHere(newest, *spec, placeOf);
    if (!place && isOfCpu(newest))
      return place.takeError();
    if (!place) {
      stale.left.push_back({newest, place.error().message});
      continue;
    }
    if (!*place)
      stale.elsewhere += entries.size();
    else if (std::ranges::any_of(entries, [&](const TunedConfig *entry) {
               return entry->compiler == (*place)->compiler;
             }))
      ++stale.current;
    else
      add(newest, *spec, stale);
  }
  return stale;
}

} // namespace nysjit::tune
