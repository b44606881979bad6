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
#include <utility>

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
  for (int pauseMs = 1; folder >= 0; pauseMs = std::min(2 * pauseMs, maxPauseMs)) {
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
    int opened = openat(folder, path.c_str(), flags | O_EXCL, 0600);
    const bool isMine = opened >= 0;
    if (!isMine && errno == EEXIST)
      opened = openat(folder, path.c_str(), flags, 0600);
    if (opened < 0) {
      error = errno == ESTALE || errno == EINTR ? EWOULDBLOCK : errno;
      return false;
    }
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
      error = errno == EINTR || errno == ESTALE ? EWOULDBLOCK : errno;
      if (isMine && error != EWOULDBLOCK) // a file system without locks
        (void)unlinkat(folder, path.c_str(), 0);
      close(opened);
      return false;
    }
    struct stat mine;
    struct stat named;
    if (fstat(opened, &mine) == 0 &&
        fstatat(folder, path.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) {
      file = opened;
      return true;
    }
    close(opened);
  }
  error = ENOLCK;
  return false;
}

FileLock::~FileLock() {
  if (file >= 0) {
    (void)unlinkat(folder, path.c_str(), 0);
    flock(file, LOCK_UN); // a forked child may hold a copy of the open file
    close(file);
  }
  if (folder >= 0)
    close(folder);
}

InUse::InUse(int opened) {
  if (opened >= 0 && opened <= 2) { // a host that closed a standard stream may want its number
    const int away = fcntl(opened, F_DUPFD_CLOEXEC, 3);
    close(opened);
    opened = away;
  }
  struct rlimit limit;
  struct stat status;
  const bool isScarce =
      getrlimit(RLIMIT_NOFILE, &limit) == 0 && static_cast<rlim_t>(opened) > limit.rlim_cur / 2;
  if (opened < 0 || isScarce || fstat(opened, &status) != 0 ||
      flock(opened, LOCK_SH | LOCK_NB) != 0) {
    if (opened >= 0)
      close(opened);
    return;
  }
  file = opened;
  device = status.st_dev;
  number = status.st_ino;
}

InUse::InUse(InUse &&other) noexcept
    : file(std::exchange(other.file, -1)), device(other.device), number(other.number) {}

InUse &InUse::operator=(InUse &&other) noexcept {
  std::swap(file, other.file);
  std::swap(device, other.device);
  std::swap(number, other.number);
  return *this;
}

void InUse::release() {
  struct stat status;
  // A host may have closed all files that it does not know, and the number be another's by now.
  if (file >= 0 && fstat(file, &status) == 0 && status.st_dev == device && status.st_ino == number)
    close(file);
  file = -1;
}

} // namespace nysjit
