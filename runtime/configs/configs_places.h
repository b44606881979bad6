// Where configs.json is found, and read once.
#pragma once
#include "runtime/base/log.h"
#include "runtime/configs/configs_file.h"

#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace nysjit {

/// The user's configs.json: in $XDG_CONFIG_HOME if that is an absolute path, else in ~/.config, in
/// the folder nysjit; "" where there is no home.
std::string userConfigsPath();

/// A config that was found, and where.
struct FoundConfig {
  KernelConfig config;
  std::string path;
};

/// The files of a machine, each read when it is first asked and never again. A file that was found
/// never makes anything fail: one that is not there is nothing, one that cannot be read or is wrong
/// is a line in the log. Any thread.
class FoundConfigs {
public:
  explicit FoundConfigs(Log log) : log(log) {}
  /// Whether there is any entry to look for.
  bool isEmpty();

  /// In $NYSJIT_CONFIGS, paths separated by colons; set and empty: no file is looked at, here or
  /// below.
  std::optional<FoundConfig> findSet(const ConfigQuery &query);
  /// In $XDG_CONFIG_HOME/nysjit/configs.json (else ~/.config/nysjit/configs.json), then in
  /// /etc/nysjit/configs.json.
  std::optional<FoundConfig> findInstalled(const ConfigQuery &query);
  /// From now on a file has nothing for a spec and target.
  void forget(const std::string &path, const std::string &specJson, const std::string &target);

private:
  struct File {
    std::string path;
    ConfigsFile contents;
  };
  void readAll();
  void readInto(const std::string &path, std::vector<File> &files, bool isNamed);
  std::optional<FoundConfig> findIn(const std::vector<File> &files, const ConfigQuery &query);

  Log log;
  std::mutex mutex; // guards what follows
  bool isRead = false;
  bool isStaleSaid = false;
  std::vector<File> set;
  std::vector<File> installed;
};

} // namespace nysjit
