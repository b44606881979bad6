// flock. The lock's file is removed by its holder, so that a cache has no litter. One who waited
// for it finds that the file it locked has lost its name and starts again with the new one.
#include "runtime/cache/lock.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace nysjit {

namespace {

constexpr int maxPauseMs = 32;
constexpr int maxLost = 100; // then the file system gives one file several numbers: no locks

} // namespace

FileLock::FileLock(const OpenFolder &open, const std::string &name)
    : path(name), folder(fcntl(open.descriptor(), F_DUPFD_CLOEXEC, 0)) {}

// The other constructor first: from then on the destructor cleans up, whatever the question throws.
FileLock::FileLock(const OpenFolder &open, const std::string &name, int timeoutMs,
                   const std::function<bool()> &isStillWanted)
    : FileLock(open, name) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(timeoutMs);
  // Often at first, for the holder may be about to let go; then some thirty times a second, which
  // costs next to nothing.
  for (int pauseMs = 1; folder.isOpen(); pauseMs = std::min(2 * pauseMs, maxPauseMs)) {
    int error = 0;
    const bool isHere = tryOnce(error);
    anothers = !isHere && error == EWOULDBLOCK;
    if (isHere || error != EWOULDBLOCK || Clock::now() >= deadline ||
        (isStillWanted && !isStillWanted()))
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(pauseMs));
  }
}

/// True if the lock is held now. Else why not: EWOULDBLOCK where another holds it.
bool FileLock::tryOnce(int &error) {
  for (int lost = 0; lost < maxLost; ++lost) {
    constexpr int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    int opened = openat(folder.get(), path.c_str(), flags | O_EXCL, 0600);
    const bool isMine = opened >= 0;
    if (!isMine && errno == EEXIST)
      opened = openat(folder.get(), path.c_str(), flags, 0600);
    if (opened < 0) {
      error = errno == ESTALE || errno == EINTR ? EWOULDBLOCK : errno;
      return false;
    }
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
      error = errno == EINTR || errno == ESTALE ? EWOULDBLOCK : errno;
      if (isMine && error != EWOULDBLOCK) // a file system without locks
        (void)unlinkat(folder.get(), path.c_str(), 0);
      close(opened);
      return false;
    }
    struct stat mine;
    struct stat named;
    if (fstat(opened, &mine) == 0 &&
        fstatat(folder.get(), path.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) {
      file = Descriptor(opened);
      error = file.isOpen() ? 0 : errno;
      return file.isOpen();
    }
    close(opened);
  }
  error = ENOLCK;
  return false;
}

FileLock::~FileLock() {
  if (!file.isUntouched())
    return;
  if (folder.isUntouched())
    (void)unlinkat(folder.get(), path.c_str(), 0);
  flock(file.get(), LOCK_UN); // a forked child may hold a copy of the open file
}

InUse::InUse(int opened) : file(opened) {
  struct rlimit limit;
  const bool isScarce = getrlimit(RLIMIT_NOFILE, &limit) == 0 && file.isOpen() &&
                        static_cast<rlim_t>(file.get()) > limit.rlim_cur / 2;
  if (isScarce || (file.isOpen() && flock(file.get(), LOCK_SH | LOCK_NB) != 0))
    file.close();
}

} // namespace nysjit
