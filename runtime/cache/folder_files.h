// The names of a cache folder's files. Internal to cache/.
#pragma once
#include "runtime/cache/counters.h"
#include "runtime/cache/file.h"

#include <cstdint>
#include <string>
#include <vector>

namespace nysjit {

inline constexpr const char *entrySuffix = ".nysjit";
inline constexpr const char *lockSuffix = ".lock";

/// 32 hex digits.
bool isKey(const std::string &text);
/// Whether a file in the folder was made by a cache: what `clear` may remove.
bool isCacheFile(const std::string &name);
/// The key of KEY.nysjit; "" for all other names.
std::string keyOfEntry(const std::string &name);

/// An entry's file, by its name alone.
struct EntryFile {
  std::string key;
  struct stat status;
};
/// All of them, in the order of their keys.
std::vector<EntryFile> entryFiles(OpenFolder &folder);

/// How many, and their bytes.
CacheCounters sizeOf(const std::vector<EntryFile> &files);

/// Removes a file, or an empty folder in a file's place. 0 or the number of the error.
int removeFile(const OpenFolder &folder, const std::string &name);

} // namespace nysjit
