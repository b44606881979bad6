// The configs.json that a command writes.
#pragma once
#include "runtime/base/result.h"

#include <optional>
#include <string>

namespace nysjit::cli {

/// "." where a path has no folder.
std::string folderOf(const std::string &path);

/// The file of -o, else the user's, where runs find it.
Result<std::string> configsOutput(const std::optional<std::string> &given);

/// What would be found out only at the end: a file that is there and has no configs, a folder that
/// cannot be written or made.
Status checkConfigsOutput(const std::string &path);

} // namespace nysjit::cli
