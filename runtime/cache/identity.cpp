// Build ids where there are any, else contents. Libraries are looked for as ld.so does (man 8
// ld.so), but for its audit and hardware folders.
#include "runtime/cache/identity.h"
#include "runtime/base/environment.h"
#include "runtime/cache/elf.h"
#include "runtime/cache/key.h"
#include "runtime/cache/publish.h"
#include "runtime/cache/read_entry.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <elf.h>

namespace nysjit {

namespace {

constexpr uint64_t maxProgramBytes = uint64_t(1) << 32;
constexpr const char *assemblerFile = "assembler";

Error unreadable(const std::string &path, const OpenFile &file) {
  return Error::mismatch(ErrorKind::Io, path, "an executable that can be read", file.failure());
}

std::string replaced(std::string text, const std::string &word, const std::string &by) {
  for (size_t at; !word.empty() && (at = text.find(word)) != std::string::npos;)
    text.replace(at, word.size(), by);
  return text;
}

std::string folderOf(const std::string &path) {
  char *const real = realpath(path.c_str(), nullptr);
  const std::string text = real ? real : path;
  std::free(real);
  const size_t slash = text.find_last_of('/');
  return slash == std::string::npos ? "." : text.substr(0, slash);
}

std::vector<std::string> split(const std::string &list) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find_first_of(":;", start), list.size());
    parts.push_back(list.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

/// The path that the loader's own list of libraries has for this name; "" if none. The list is a
/// table over texts that end with a zero byte; the texts are all that is needed.
std::string loadersPath(const std::string &library) {
  OpenFile file("/etc/ld.so.cache");
  const std::string bytes = file.readAll(uint64_t(16) << 20).value_or("");
  const std::string end = "/" + library + std::string(1, '\0');
  const size_t at = bytes.find(end);
  if (at == std::string::npos)
    return "";
  const size_t start = bytes.find_last_of('\0', at) + 1;
  return bytes.substr(start, at + end.size() - 1 - start);
}

/// A build id, else a hash; "" if the file cannot be read.
std::string identityOf(OpenFile &file) {
  if (!file.isOpen())
    return "";
  if (std::string id = elfBuildId(file); !id.empty())
    return id;
  const std::optional<std::string> bytes = file.readAll(maxProgramBytes);
  return bytes ? "hash " + hashHex(*bytes) : "";
}

/// Of the file that the loader would take for this name.
std::string libraryIdentity(const std::string &library, const ElfLinks &links,
                            const std::string &worker) {
  const std::string set = environmentSetting("LD_LIBRARY_PATH");
  const std::vector<std::string> given =
      set.empty() ? std::vector<std::string>() : split(set); // an empty part is this folder
  std::vector<std::string> folders;
  if (links.isRunPath)
    folders = given;
  for (const std::string &folder : links.folders) {
    const std::string origin = folder.find('$') == std::string::npos ? "" : folderOf(worker);
    folders.push_back(replaced(replaced(folder, "${ORIGIN}", origin), "$ORIGIN", origin));
  }
  if (!links.isRunPath)
    folders.insert(folders.end(), given.begin(), given.end());
  for (const std::string &folder : folders) {
    OpenFile file((folder.empty() ? "." : folder) + "/" + library);
    if (std::string id = identityOf(file); !id.empty())
      return id;
  }
  std::vector<std::string> others = {loadersPath(library)};
  for (const char *folder : {"/lib64/", "/usr/lib64/", "/lib/", "/usr/lib/"})
    others.push_back(folder + library);
  for (const std::string &path : others) {
    OpenFile file(path);
    if (std::string id = identityOf(file); !id.empty())
      return id;
  }
  return "absent";
}

} // namespace

Result<std::string> buildId(const std::string &path) {
  OpenFile file(path);
  const std::string id = identityOf(file);
  if (id.empty())
    return unreadable(path, file);
  return id.starts_with("hash ") ? id : "build-id " + id;
}

std::string llvmIdentity(const std::string &worker) {
  OpenFile file(worker);
  char start[SELFMAG] = {};
  if (!file.readAt(0, start, sizeof start) || std::memcmp(start, ELFMAG, SELFMAG) != 0)
    return "of a script";
  const ElfLinks links = elfLinks(file);
  std::string text;
  for (const std::string &library : links.libraries) {
    if (!library.starts_with("libLLVM") && !library.starts_with("libMLIR"))
      continue;
    text += (text.empty() ? "" : ", ") + library + " " + libraryIdentity(library, links, worker);
  }
  return text.empty() ? "linked in" : text;
}

Result<std::string> toolIdentity(const std::string &path, const OpenFolder &folder) {
  OpenFile file(path);
  struct stat status;
  if (!file.isOpen() || fstat(file.descriptor(), &status) != 0)
    return unreadable(path, file);
  const auto time = [](const timespec &at) {
    return std::to_string(at.tv_sec) + "." + std::to_string(at.tv_nsec);
  };
  const std::string facts = std::to_string(status.st_dev) + " " + std::to_string(status.st_ino) +
                            " " + std::to_string(status.st_size) + " " + time(status.st_mtim) +
                            " " + time(status.st_ctim) + "\n";
  const bool mayKeep = folder.isOpen() && folder.distrust().empty();
  if (mayKeep) {
    const std::string text = readTrusted(folder, assemblerFile);
    if (text.starts_with(facts) && text.size() == facts.size() + 32)
      return text.substr(facts.size());
  }
  const std::optional<std::string> bytes = file.readAll(maxProgramBytes);
  if (!bytes)
    return unreadable(path, file);
  const std::string identity = hashHex(*bytes);
  if (mayKeep)
    (void)publishFile(folder, assemblerFile, facts + identity); // else it is computed again
  return identity;
}

} // namespace nysjit
