// DiskCache: compiled programs in a folder, one file an entry, KEY.nysjit. Safe between any number
// of processes: a file is written aside and renamed, and whatever is damaged is as good as absent.
// Nothing here fails: a folder that cannot be read or written is an empty one.
#pragma once
#include "runtime/cache/entry.h"
#include "runtime/cache/file.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nysjit {

/// $NYSJIT_CACHE_DIR, else $XDG_CACHE_HOME/nysjit, else ~/.cache/nysjit; "" if there is no home
/// either.
std::string defaultCacheFolder();

/// What `cache list` shows of an entry.
struct CacheListing {
  std::string key;
  uint64_t bytes = 0;       // of the file
  int64_t modifiedTime = 0; // seconds since 1970
  bool isValid = false;     // checksum, format and key agree
  std::string specJson;
  std::string configJson;
  std::string target;
  std::string compilerId; // "" unless valid
};

/// One line of a key text by its first word ("spec", "config", "target", "cpu", "compiler"); "" if
/// it is not there.
std::string keyTextLine(const std::string &keyText, const std::string &word);

struct CacheCleared {
  size_t entries = 0;
  uint64_t bytes = 0;
};

class DiskCache {
public:
  /// "" keeps nothing.
  explicit DiskCache(std::string folder);
  const std::string &folder() const { return path; }

  /// The entry, if it is there, whole, and made from exactly this key text.
  std::optional<CacheEntry> load(const std::string &key, const std::string &keyText) const;
  /// False if the folder cannot be written.
  bool store(const std::string &key, const CacheEntry &entry) const;
  /// Held by the one who compiles `key`; others wait in here. Null where there is no folder to lock
  /// in.
  std::unique_ptr<FileLock> lock(const std::string &key, int timeoutMs) const;

  /// The compiler whose programs the folder holds, for a machine where the compiler itself is
  /// absent; "" if not known.
  std::string lastCompilerId() const;
  void rememberCompilerId(const std::string &id) const;

  /// Entries in the order of their keys, damaged ones included.
  std::vector<CacheListing> list() const;
  /// One whole entry.
  std::optional<CacheEntry> show(const std::string &key) const;
  /// Removes entries, files left by killed writers and lock files.
  CacheCleared clear() const;

private:
  std::string entryPath(const std::string &key) const;
  std::string path;
};

} // namespace nysjit
