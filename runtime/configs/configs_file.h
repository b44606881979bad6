// configs.json, schema 1: what won on which machine, as `nysjit tune` writes it.
//   {"schema": 1, "entries": [{"spec": {...}, "target": "cpu:native", "device": {...},
//    "compiler": "build-id ...", "config": {...}, "tuned": {...}}, ...]}
// An entry is for one spec, target, device (all its members must be equal) and compiler build.
// `config` {} says that the defaults were not beaten. `tuned` is kept as it is.
#pragma once
#include "runtime/spec/spec.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

struct TunedConfig {
  std::string specJson; // canonical
  std::string target;   // its name
  Json device;          // device_facts.h
  std::string compiler; // ProgramMaker::compiler
  KernelConfig config;
  Json tuned = Json::object(); // {"verdict", "date" (2026-11-28T13:41:22Z), ...}

  /// What it is for: two entries with the same key are one entry's older and newer state.
  std::string key() const;
  std::string date() const; // "" if there is none
  bool operator==(const TunedConfig &) const = default;
};

/// What a config is looked for: all of a TunedConfig's key.
struct ConfigQuery {
  std::string specJson;
  std::string target;
  Json device;
  std::string compiler;    // "": not known here, then any fits
  bool takesStale = false; // another build's will do, too
};

enum class ConfigMatch { None, Stale, Fits }; // Stale: all but the compiler

struct ConfigsFile {
  std::vector<TunedConfig> entries; // in the order of their keys

  /// The entry for the query; where there is none, a stale one. Null with None.
  const TunedConfig *find(const ConfigQuery &query, ConfigMatch &match) const;
  /// The newest for a spec and target, of whichever machine: for programs that are to run there.
  const TunedConfig *findForTarget(const std::string &specJson, const std::string &target) const;
  /// The one with this key, or null.
  const TunedConfig *findKey(const std::string &key) const;
};

/// What a caller says of block sizes: a KernelConfig, {} being the defaults exactly; a configs.json
/// to look into; or nothing, then what is found on this machine.
struct ConfigChoice {
  std::optional<KernelConfig> exact;
  std::optional<ConfigsFile> file;
};
/// Either document.
Result<ConfigChoice> parseConfigChoice(std::string_view text);

/// Whether a document is a configs.json rather than a KernelConfig: it has "entries".
bool isConfigsFile(const Json &document);

/// An error names the key: `entries[1].spec.head_dim`.
Result<ConfigsFile> parseConfigsFile(const Json &document);
Result<ConfigsFile> parseConfigsFile(std::string_view text);

/// The document, an entry a line, sorted by key: the same entries give the same bytes.
std::string configsText(const ConfigsFile &file);

/// Adds `from`'s entries to `into`. Of equal keys the later date stays, of equal dates the smaller
/// text. Returns the keys of entries that were replaced, by which side.
struct MergeReport {
  size_t added = 0;
  size_t replaced = 0; // entries of `into`
  size_t kept = 0;     // entries of `into` that `from` had older or equal
};
MergeReport mergeConfigs(ConfigsFile &into, const ConfigsFile &from);

} // namespace nysjit
