// Where it is, and whether it can be written.
#include "runtime/cli/configs_output.h"
#include "runtime/cli/given.h"
#include "runtime/configs/configs_places.h"
#include "runtime/configs/store_config.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace nysjit::cli {

std::string folderOf(const std::string &file) {
  const size_t slash = file.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash);
}

Result<std::string> configsOutput(const std::optional<std::string> &given) {
  if (given)
    return *given;
  if (const std::string path = userConfigsPath(); !path.empty())
    return path;
  return Error::mismatch(ErrorKind::InvalidArgument, "-o", "a file to write",
                         "no such flag, and neither XDG_CONFIG_HOME nor HOME is set");
}

Status checkConfigsOutput(const std::string &path) {
  if (access(path.c_str(), F_OK) == 0) {
    const Result<ConfigsFile> there = readConfigsFile(path);
    if (!there)
      return Error::mismatch(ErrorKind::InvalidFile, "-o", "a file of configs, or none yet",
                             there.error().message);
  }
  std::string folder = folderOf(path);
  while (access(folder.c_str(), F_OK) != 0 && errno == ENOENT && folder != "." && folder != "/")
    folder = folderOf(folder);
  if (access((folder + "/.").c_str(), W_OK) == 0)
    return {};
  return Error::mismatch(ErrorKind::InvalidFile, "-o", "a file in a folder that can be written",
                         inQuotes(folder) + ": " + std::strerror(errno));
}

} // namespace nysjit::cli
