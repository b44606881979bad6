// The lock's file is removed by its holder, so that a cache has no litter. One who waited for it
// finds that the file it locked has lost its name and starts again with the new one.
#include "runtime/cache/file.h"
#include "runtime/base/quiet_write.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace nysjit {

// O_NONBLOCK: what is not a regular file is refused later, but a FIFO would not let open() return.
OpenFile::OpenFile(const std::string &path)
    : file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) {
  error = file < 0 ? errno : 0;
}

OpenFile::~OpenFile() {
  if (file >= 0)
    close(file);
}

std::string OpenFile::failure() const { return error ? std::strerror(error) : "a shorter file"; }

bool OpenFile::readAt(uint64_t offset, void *bytes, size_t count) {
  char *to = static_cast<char *>(bytes);
  while (count > 0) {
    const ssize_t got = pread(file, to, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    error = got < 0 ? errno : 0;
    if (got <= 0)
      return false;
    to += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
  return true;
}

std::optional<std::string> OpenFile::readAll(uint64_t atMost) {
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) ||
      static_cast<uint64_t>(status.st_size) > atMost) {
    error = EINVAL;
    return std::nullopt;
  }
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  if (!readAt(0, bytes.data(), bytes.size()))
    return std::nullopt;
  return bytes;
}

bool makeFolders(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0)
    return S_ISDIR(status.st_mode);
  const size_t slash = path.find_last_of('/');
  if (slash != std::string::npos && slash > 0 && !makeFolders(path.substr(0, slash)))
    return false;
  return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

bool replaceFile(const std::string &path, std::string_view bytes) {
  std::string aside = path + ".XXXXXX.tmp";
  const int file = mkostemps(aside.data(), 4, O_CLOEXEC);
  if (file < 0)
    return false;
  bool written = writeQuietly(file, bytes);
  written = close(file) == 0 && written;
  if (written && rename(aside.c_str(), path.c_str()) == 0)
    return true;
  unlink(aside.c_str());
  return false;
}

FileLock::FileLock(const std::string &lockPath, int timeoutMs) : path(lockPath) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(timeoutMs);
  while (true) {
    const int opened = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
      return;
    int locked;
    while ((locked = flock(opened, LOCK_EX | LOCK_NB)) != 0 &&
           (errno == EINTR || errno == EWOULDBLOCK) && Clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    struct stat mine;
    struct stat named;
    if (locked == 0 && fstat(opened, &mine) == 0 && stat(path.c_str(), &named) == 0 &&
        mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) {
      file = opened;
      return;
    }
    close(opened);
    if (locked != 0) // held for too long, or a file system without locks
      return;
  }
}

FileLock::~FileLock() {
  if (file < 0)
    return;
  unlink(path.c_str());
  flock(file, LOCK_UN); // a forked child may hold a copy of the open file
  close(file);
}

} // namespace nysjit
