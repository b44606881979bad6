// Making room: what was not used for longest goes first. And litter: whoever writes a file or holds
// a lock keeps its file locked, so a file that can be locked is nobody's any more; where there are
// no locks, a file of yesterday's is.
#include "runtime/cache/disk_cache.h"
#include "runtime/cache/folder_files.h"
#include "runtime/cache/publish.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <tuple>
#include <unistd.h>

namespace nysjit {

namespace {

constexpr const char *collectLock = "gc.lock";
constexpr int collectWaitMs = 2000;
constexpr time_t youngSeconds = 60; // a writer may not have locked its file yet
constexpr time_t oldSeconds = 86400;

enum class Holder { Nobody, Somebody, Unknown };

/// Whether a process holds the file locked. To be asked with the file kept open until it is gone.
Holder holderOf(int file) {
  if (file < 0)
    return Holder::Unknown;
  if (flock(file, LOCK_EX | LOCK_NB) == 0)
    return Holder::Nobody;
  return errno == EWOULDBLOCK ? Holder::Somebody : Holder::Unknown;
}

/// For an exclusive lock a network file system wants it writable.
int openToLock(const OpenFolder &folder, const std::string &name) {
  constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const int file = openat(folder.descriptor(), name.c_str(), O_RDWR | flags);
  return file >= 0 ? file : openat(folder.descriptor(), name.c_str(), O_RDONLY | flags);
}

bool isLitter(const OpenFolder &folder, const std::string &name, time_t now, int file) {
  struct stat status;
  const bool isAside = name.ends_with(asideSuffix);
  if (!isCacheFile(name) || (!isAside && !name.ends_with(lockSuffix)) || name == collectLock ||
      fstatat(folder.descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return false;
  const time_t age = now - status.st_mtime;
  const Holder holder = holderOf(file);
  return (holder == Holder::Nobody && (!isAside || age > youngSeconds)) ||
         (holder == Holder::Unknown && age > oldSeconds);
}

/// Now, by the clock of the file system, which is another machine's where the folder is.
time_t timeIn(const OpenFolder &folder) {
  struct stat status;
  return utimensat(folder.descriptor(), collectLock, nullptr, AT_SYMLINK_NOFOLLOW) == 0 &&
                 fstatat(folder.descriptor(), collectLock, &status, AT_SYMLINK_NOFOLLOW) == 0
             ? status.st_mtime
             : time(nullptr);
}

size_t removeLitter(OpenFolder &folder) {
  size_t removed = 0;
  const time_t now = timeIn(folder);
  for (const std::string &name : folder.names()) {
    if (!name.ends_with(asideSuffix) && !name.ends_with(lockSuffix))
      continue;
    const ScopedFile file(openToLock(folder, name));
    if (isLitter(folder, name, now, file.number()))
      removed += removeFile(folder, name) == 0;
  }
  return removed;
}

/// Removes the least recently used while `goal` is exceeded. `size` is kept up.
void evict(const OpenFolder &folder, std::vector<EntryFile> files, const CacheLimits &goal,
           const std::string &kept, CacheCounters &size, CacheRemoved &removed) {
  std::sort(files.begin(), files.end(), [](const EntryFile &a, const EntryFile &b) {
    return std::tie(a.status.st_mtim.tv_sec, a.status.st_mtim.tv_nsec, a.key) <
           std::tie(b.status.st_mtim.tv_sec, b.status.st_mtim.tv_nsec, b.key);
  });
  for (const EntryFile &oldest : files) {
    if (!isOver(size, goal))
      return;
    const std::string name = oldest.key + entrySuffix;
    const ScopedFile file(openToLock(folder, name));
    if (oldest.key == kept || holderOf(file.number()) == Holder::Somebody) {
      ++removed.inUse;
    } else if (const int error = removeFile(folder, name)) {
      removed.failure = name + ": " + std::strerror(error);
    } else {
      const uint64_t bytes = static_cast<uint64_t>(oldest.status.st_size);
      ++removed.entries;
      removed.bytes += bytes;
      --size.entries;
      size.bytes -= bytes;
    }
  }
}

} // namespace

CacheRemoved DiskCache::collect(const CacheLimits &limits) {
  OpenFolder open(path);
  if (!open.isOpen())
    return {};
  if (!open.distrust().empty())
    return {.failure = open.distrust()};
  return collect(open, limits, "");
}

CacheRemoved DiskCache::collect(OpenFolder &folder, const CacheLimits &limits,
                                const std::string &kept) {
  // One at a time: two would remove twice as much. After a store the other's work will do.
  const bool isAsked = kept.empty();
  const FileLock one(folder, collectLock, isAsked ? collectWaitMs : 0);
  if (one.isAnothers() && !isAsked)
    return {};
  CacheRemoved removed;
  removed.litter = removeLitter(folder);
  std::vector<EntryFile> files = entryFiles(folder);
  CacheCounters size = sizeOf(files);
  // After a store a tenth more goes, so that the next stores need not look again.
  CacheLimits goal = limits;
  if (!isAsked)
    goal = {limits.bytes - limits.bytes / 10, limits.entries - limits.entries / 10};
  if (isOver(size, limits))
    evict(folder, std::move(files), goal, kept, size, removed);
  (void)changeCounters(folder, [&](CacheCounters &now) {
    now.entries = size.entries;
    now.bytes = size.bytes;
    now.evictions += removed.entries;
  });
  return removed;
}

CacheRemoved DiskCache::clear() {
  CacheRemoved removed;
  OpenFolder folder(path);
  if (!folder.isOpen())
    return removed;
  for (const std::string &name : folder.names()) {
    if (!isCacheFile(name))
      continue;
    struct stat status;
    const uint64_t bytes =
        fstatat(folder.descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0
            ? static_cast<uint64_t>(status.st_size)
            : 0;
    if (const int error = removeFile(folder, name)) {
      removed.failure = name + ": " + std::strerror(error);
    } else if (!keyOfEntry(name).empty()) {
      ++removed.entries;
      removed.bytes += bytes;
    }
  }
  return removed;
}

} // namespace nysjit
