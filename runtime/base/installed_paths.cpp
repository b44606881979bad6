// Folders by the loader's list of what is loaded, and by /proc.
#include "runtime/base/installed_paths.h"

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
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

/// The file that an address is mapped from; "" if the system does not say.
std::string mappedFile(const void *address) {
  const uintptr_t wanted = reinterpret_cast<uintptr_t>(address);
  char path[PATH_MAX] = "";
  FILE *maps = std::fopen("/proc/self/maps", "re");
  char *line = nullptr;
  size_t capacity = 0;
  while (maps && !*path && getline(&line, &capacity, maps) > 0) {
    char *end = nullptr; // "START-END rwxp OFFSET DEVICE INODE PATH\n"
    const uintptr_t first = std::strtoull(line, &end, 16);
    const uintptr_t last = *end == '-' ? std::strtoull(end + 1, nullptr, 16) : 0;
    const char *name = std::strchr(line, '/');
    if (name && first <= wanted && wanted < last)
      std::snprintf(path, sizeof path, "%.*s", static_cast<int>(std::strcspn(name, "\n")), name);
  }
  std::free(line);
  if (maps)
    std::fclose(maps);
  return path;
}

/// The file this code was loaded from; "" where it is in the executable, whose name among what is
/// loaded is only what its caller says (argv[0]). The loader keeps a relative name as it was given,
/// and the host may have gone to another folder since.
std::string ownLibrary() {
  Dl_info info = {};
  link_map *loaded = nullptr;
  if (!dladdr1(reinterpret_cast<void *>(&installedPaths), &info, reinterpret_cast<void **>(&loaded),
               RTLD_DL_LINKMAP) ||
      !loaded || !loaded->l_name)
    return "";
  if (*loaded->l_name == '\0' || *loaded->l_name == '/')
    return loaded->l_name;
  return mappedFile(reinterpret_cast<void *>(&installedPaths));
}

/// The folder of the executable; "" if it is not to be found.
Result<std::string> executableFolder() {
  Result<std::string> folder = folderOf("/proc/self/exe");
  if (!folder || !folder->empty() || getauxval(AT_SECURE))
    return folder;
  // Without /proc: the path that the kernel was given, unless it is relative.
  const char *given = reinterpret_cast<const char *>(getauxval(AT_EXECFN));
  return given && *given == '/' ? folderOf(given) : std::string();
}

} // namespace

Result<std::vector<std::string>> installedPaths(std::initializer_list<const char *> steps,
                                                const std::string &name) {
  std::vector<std::string> folders;
  if (const std::string library = ownLibrary(); !library.empty()) {
    Result<std::string> folder = folderOf(library.c_str());
    NYSJIT_RETURN_IF_ERROR(folder);
    folders.push_back(std::move(*folder));
  }
  Result<std::string> executable = executableFolder();
  NYSJIT_RETURN_IF_ERROR(executable);
  folders.push_back(std::move(*executable));
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
