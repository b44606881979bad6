// Writing configs.json so that neither another writer's entries nor the file are ever lost.
#pragma once
#include "runtime/base/result.h"
#include "runtime/configs/configs_file.h"

#include <string>

namespace nysjit {

/// What a file had, and what it has now.
struct StoredConfigs {
  ConfigsFile before;
  ConfigsFile after;
};

/// Merges the entries into the file at `path`, made if it is not there: read under a lock beside
/// it, written aside, on disk, renamed. Waits for another writer. What is there and no configs.json
/// is an error and stays. Io where the folder refuses.
Result<StoredConfigs> storeConfigs(const std::string &path, const ConfigsFile &entries);

/// Reads one; an error names the file. Io if it cannot be read.
Result<ConfigsFile> readConfigsFile(const std::string &path);

} // namespace nysjit
