// DiskCache: compiled programs in a folder, one file an entry, KEY.nysjit. Safe between any number
// of processes and machines: a file is written aside and renamed, and whatever is damaged, cannot
// be read or could be another user's is as good as absent. Nothing here fails: a folder that cannot
// be read or written is an empty one. docs/cache.md says what lies where and what is promised.
#pragma once
#include "runtime/cache/counters.h"
#include "runtime/cache/limits.h"
#include "runtime/cache/program_source.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace nysjit {

/// Where a cache lies and with which mode (less the umask) its folder is made.
struct CacheFolder {
  CacheFolder(std::string path, mode_t mode = 0755) : path(std::move(path)), mode(mode) {}
  CacheFolder(const char *path) : CacheFolder(std::string(path)) {}
  std::string path;
  mode_t mode;
};

/// $NYSJIT_CACHE_DIR, else $XDG_CACHE_HOME/nysjit (if that is an absolute path), else
/// ~/.cache/nysjit; "" if there is no home either. The last two are private to the user.
CacheFolder defaultCacheFolder();

/// What `cache list` shows of an entry.
struct CacheListing {
  std::string key;
  uint64_t bytes = 0;       // of the file
  int64_t modifiedTime = 0; // seconds since 1970: stored, or found within the hour after
  EntryState state = EntryState::Whole;
  std::string reason;  // unless whole
  std::string keyText; // "" unless whole
};

/// What was removed.
struct CacheRemoved {
  size_t entries = 0;
  uint64_t bytes = 0;
  size_t litter = 0;   // files of writers and lock holders that are gone
  size_t inUse = 0;    // entries that would have gone, but for a program that is loaded from them
  std::string failure; // why one more could not be removed
};

/// Any number of threads may use one at once.
class DiskCache : public ProgramSource {
public:
  /// "" keeps nothing. A relative path is taken from where the process stands now.
  explicit DiskCache(CacheFolder folder);
  ~DiskCache() override; // tells of its counts
  const std::string &folder() const { return path; }
  /// The same where it may be written into, else "".
  std::string trustedFolder() const;
  /// The folder's own state: Absent where nothing is wrong with it, there or not, else NotTrusted
  /// or Unreadable with the reason.
  EntryRead folderState() const;

  /// The entry, if it is there, whole, trusted and made from exactly this key text. A hit
  /// is counted, and the entry marked as used.
  EntryRead find(const ProgramKey &key) override;
  std::vector<std::string> keyTexts() const override;
  /// One entry by its key, uncounted.
  EntryRead read(const std::string &key) const;
  /// A program that was not found is to be compiled; what was found instead, for the counters.
  void countMiss(EntryState found);
  /// Io if it could not be written: `where` is the folder, `found` the reason. Old entries go where
  /// the cache has grown over its limits.
  Status store(const std::string &key, const CacheEntry &entry, const CacheLimits &limits);
  /// Marks an entry as in use.
  InUse use(const std::string &key) const;
  /// Held by the one who compiles `key`; others wait in here, as FileLock's constructor says. Null
  /// where there is no folder to lock in.
  std::unique_ptr<FileLock> lock(const std::string &key, int timeoutMs,
                                 const std::function<bool()> &isStillWanted) const;

  /// The maker whose programs the folder holds, for a machine where the compiler itself is absent;
  /// `compiler` "" if not known.
  ProgramMaker lastMaker() const;
  void rememberMaker(const ProgramMaker &maker) const;

  /// Entries in the order of their keys, those that cannot be used included.
  std::vector<CacheListing> list() const;
  /// The counters with what this object has not told of yet; entries and bytes as of now.
  CacheCounters counters();
  /// Removes what was not used for longest until the limits hold, but for what is in use, and
  /// litter.
  CacheRemoved collect(const CacheLimits &limits);
  /// Removes entries, files left by killed writers, lock files, counters.
  CacheRemoved clear();

private:
  void count(const CacheCounters &more); // hits, misses, refused
  void tell(const OpenFolder &folder, const CacheCounters &more);
  CacheRemoved collect(OpenFolder &folder, const CacheLimits &limits, const std::string &kept);

  std::string path;
  mode_t mode;
  pid_t owner;
  std::mutex mutex; // guards what follows
  CacheCounters untold;
  std::chrono::steady_clock::time_point toldAt;
};

} // namespace nysjit
