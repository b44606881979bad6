// KEY.nysjit and KEY.lock, each with its .RANDOM.tmp while it is written; gc.lock, maker,
// assembler, counters.
#include "runtime/cache/folder_files.h"
#include "runtime/cache/publish.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace nysjit {

namespace {
constexpr size_t keyLength = 32;
}

bool isKey(const std::string &text) {
  return text.size() == keyLength &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string keyOfEntry(const std::string &name) {
  const std::string key = name.substr(0, std::min(keyLength, name.size()));
  return isKey(key) && name == key + entrySuffix ? key : "";
}

bool isCacheFile(const std::string &name) {
  const size_t dot = std::min(name.find('.'), name.size());
  const std::string stem = name.substr(0, dot);
  const bool isNamed = stem == "compiler" || stem == "maker" || stem == "assembler" ||
                       stem == "counters"; // "compiler" was written by versions before
  if (!isNamed && !isKey(stem) && name != "gc.lock")
    return false;
  return (isNamed && dot == name.size()) || name.ends_with(asideSuffix) ||
         name.ends_with(lockSuffix) || !keyOfEntry(name).empty();
}

std::vector<EntryFile> entryFiles(OpenFolder &folder) {
  std::vector<EntryFile> files;
  for (const std::string &name : folder.names()) {
    EntryFile file;
    file.key = keyOfEntry(name);
    if (!file.key.empty() &&
        fstatat(folder.descriptor(), name.c_str(), &file.status, AT_SYMLINK_NOFOLLOW) == 0)
      files.push_back(std::move(file));
  }
  return files;
}

CacheCounters sizeOf(const std::vector<EntryFile> &files) {
  CacheCounters size;
  for (const EntryFile &file : files) {
    ++size.entries;
    size.bytes += static_cast<uint64_t>(file.status.st_size);
  }
  return size;
}

int removeFile(const OpenFolder &folder, const std::string &name) {
  if (unlinkat(folder.descriptor(), name.c_str(), 0) == 0 || errno == ENOENT)
    return 0;
  if ((errno == EISDIR || errno == EPERM) &&
      unlinkat(folder.descriptor(), name.c_str(), AT_REMOVEDIR) == 0)
    return 0;
  return errno;
}

} // namespace nysjit
