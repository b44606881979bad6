// Folders by dladdr and /proc.
#include "runtime/base/installed_paths.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// The folder of a file, its links followed; "" if it is not there.
Result<std::string> folderOf(const char *path) {
  char *real = realpath(path, nullptr);
  if (!real && errno == ENOMEM)
    return Error::plain(ErrorKind::Io, path, std::string(path) + ": " + std::strerror(ENOMEM));
  if (!real)
    return std::string();
  std::string folder(real);
  std::free(real);
  return folder.substr(0, folder.find_last_of('/'));
}

} // namespace

Result<std::vector<std::string>> installedPaths(std::initializer_list<const char *> steps,
                                                const std::string &name) {
  std::vector<const char *> files;
  Dl_info library = {};
  if (dladdr(reinterpret_cast<void *>(&installedPaths), &library) && library.dli_fname)
    files.push_back(library.dli_fname);
  files.push_back("/proc/self/exe");
  std::vector<std::string> folders;
  for (const char *file : files) {
    Result<std::string> folder = folderOf(file);
    NYSJIT_RETURN_IF_ERROR(folder);
    folders.push_back(std::move(*folder));
  }
  std::vector<std::string> places;
  for (size_t i = 0; i < folders.size(); ++i)
    if (!folders[i].empty() && (i == 0 || folders[i] != folders[0]))
      for (const char *step : steps)
        places.push_back(folders[i] + step + name);
  return places;
}

bool isExecutableFile(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

} // namespace nysjit
