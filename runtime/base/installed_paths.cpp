// Folders by dladdr and /proc.
#include "runtime/base/installed_paths.h"

#include <cstdlib>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// The folder of a file, its links followed; "" if it is not there.
std::string folderOf(const char *path) {
  char *real = realpath(path, nullptr);
  if (!real)
    return "";
  std::string folder(real);
  std::free(real);
  return folder.substr(0, folder.find_last_of('/'));
}

} // namespace

std::vector<std::string> installedPaths(std::initializer_list<const char *> steps,
                                        const std::string &name) {
  std::vector<std::string> folders;
  Dl_info library = {};
  if (dladdr(reinterpret_cast<void *>(&installedPaths), &library) && library.dli_fname)
    folders.push_back(folderOf(library.dli_fname));
  folders.push_back(folderOf("/proc/self/exe"));
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
