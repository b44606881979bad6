// The environment's files, the user's and the system's.
#include "runtime/configs/configs_places.h"
#include "runtime/base/environment.h"
#include "runtime/configs/store_config.h"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace nysjit {

std::string userConfigsPath() {
  std::string home = environmentSetting("XDG_CONFIG_HOME");
  if (!home.starts_with('/')) { // its specification: then it is ignored
    home = environmentSetting("HOME");
    home += home.empty() ? "" : "/.config";
  }
  return home.empty() ? "" : home + "/nysjit/configs.json";
}

void FoundConfigs::readInto(const std::string &path, std::vector<File> &files, bool isNamed) {
  if (!isNamed && access(path.c_str(), F_OK) != 0)
    return;
  Result<ConfigsFile> read = readConfigsFile(path);
  if (read)
    files.push_back({path, std::move(*read)});
  else
    log.line("tuned configs are not used: " + read.error().message);
}

void FoundConfigs::readAll() {
  if (std::exchange(isRead, true))
    return;
  if (const char *given = secure_getenv("NYSJIT_CONFIGS")) {
    const std::string paths = given;
    for (size_t start = 0; start < paths.size();) {
      const size_t end = std::min(paths.find(':', start), paths.size());
      if (end > start)
        readInto(paths.substr(start, end - start), set, /*isNamed=*/true);
      start = end + 1;
    }
    if (paths.empty())
      return;
  }
  if (const std::string path = userConfigsPath(); !path.empty())
    readInto(path, installed, /*isNamed=*/false);
  readInto("/etc/nysjit/configs.json", installed, /*isNamed=*/false);
}

/// What tunes again, for the query's device; the user's file need not be named.
static std::string staleCommand(const std::string &path, const ConfigQuery &query) {
  const Json *kind = query.device.find("kind");
  std::string command = "nysjit tune --stale";
  if (kind && !(*kind == Json("cpu")))
    command += " --device " + kind->text();
  return path == userConfigsPath() ? command : command + " -o " + path;
}

std::optional<FoundConfig> FoundConfigs::findIn(const std::vector<File> &files,
                                                const ConfigQuery &query) {
  for (const File &file : files) {
    ConfigMatch match;
    const TunedConfig *entry = file.contents.find(query, match);
    if (!entry)
      continue;
    if (match == ConfigMatch::Fits || query.takesStale)
      return FoundConfig{entry->config, file.path};
    if (!std::exchange(isStaleSaid, true))
      log.line(file.path + ": tuned by another build of the compiler, and not used; `" +
               staleCommand(file.path, query) + "` tunes again, NYSJIT_STALE_CONFIGS=1 uses it");
  }
  return std::nullopt;
}

bool FoundConfigs::isEmpty() {
  const std::lock_guard lock(mutex);
  readAll();
  return set.empty() && installed.empty();
}

std::optional<FoundConfig> FoundConfigs::findSet(const ConfigQuery &query) {
  const std::lock_guard lock(mutex);
  readAll();
  return findIn(set, query);
}

std::optional<FoundConfig> FoundConfigs::findInstalled(const ConfigQuery &query) {
  const std::lock_guard lock(mutex);
  readAll();
  return findIn(installed, query);
}

void FoundConfigs::forget(const std::string &path, const std::string &specJson,
                          const std::string &target) {
  const std::lock_guard lock(mutex);
  for (std::vector<File> *files : {&set, &installed})
    for (File &file : *files)
      if (file.path == path)
        std::erase_if(file.contents.entries, [&](const TunedConfig &entry) {
          return entry.specJson == specJson && entry.target == target;
        });
}

} // namespace nysjit
