// open, pread, readdir. A network file system says ESTALE of a file that was replaced on another
// machine meanwhile: opened once more it is there.
#include "runtime/cache/file.h"
#include "runtime/cache/trust.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <unistd.h>
#include <utility>

namespace nysjit {

namespace {

// O_NONBLOCK: what is not a regular file is refused later, but a FIFO would not let open() return.
constexpr int readingFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

/// openat, tried again where that may help.
int openAgain(int folder, const char *name, int flags) {
  int file = -1;
  int tries = 0;
  while ((file = ::openat(folder, name, flags)) < 0 &&
         (errno == EINTR || (errno == ESTALE && ++tries < 4))) {
  }
  return file;
}

} // namespace

ScopedFile::~ScopedFile() { (void)closeNow(); }

int ScopedFile::closeNow() {
  const int closing = std::exchange(file, -1);
  // Interrupted it is closed all the same.
  return closing >= 0 && close(closing) != 0 && errno != EINTR ? errno : 0;
}

OpenFile::OpenFile(const std::string &path) { open(AT_FDCWD, path, readingFlags); }

OpenFile::OpenFile(int folder, const std::string &name) {
  open(folder, name, readingFlags | O_NOFOLLOW);
}

void OpenFile::open(int folder, const std::string &name, int flags) {
  file = openAgain(folder, name.c_str(), flags);
  error = file < 0 ? errno : 0;
}

OpenFile::~OpenFile() {
  if (file >= 0)
    close(file);
}

int OpenFile::release() { return std::exchange(file, -1); }

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
  if (fstat(file, &status) != 0) {
    error = errno;
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) > atMost) {
    error = EINVAL;
    return std::nullopt;
  }
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  if (!readAt(0, bytes.data(), bytes.size()))
    return std::nullopt;
  return bytes;
}

OpenFolder::OpenFolder(const std::string &path) {
  struct stat status;
  folder = openAgain(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  error = folder < 0 ? errno : 0;
  if (folder >= 0 && fstat(folder, &status) != 0) {
    error = errno;
    close(std::exchange(folder, -1));
  }
  if (folder >= 0)
    reason = whyNotTrusted(status);
}

OpenFolder::~OpenFolder() {
  if (folder >= 0)
    close(folder);
}

std::vector<std::string> OpenFolder::names() {
  std::vector<std::string> found;
  const int reading = openAgain(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR *)> open(reading >= 0 ? fdopendir(reading) : nullptr,
                                                  &closedir);
  error = open ? 0 : errno;
  if (!open) {
    if (reading >= 0)
      close(reading);
    return found;
  }
  errno = 0;
  while (const dirent *file = readdir(open.get())) {
    const std::string name = file->d_name;
    if (name != "." && name != "..")
      found.push_back(name);
    errno = 0;
  }
  error = errno;
  std::sort(found.begin(), found.end());
  return found;
}

void OpenFolder::flush() const {
  const int reading = openAgain(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (reading < 0)
    return;
  (void)fsync(reading); // a name that is lost is a miss
  close(reading);
}

int makeFolders(const std::string &path, mode_t mode) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0)
    return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
  if (errno != ENOENT)
    return errno;
  const size_t slash = path.find_last_of('/');
  if (slash != std::string::npos && slash > 0)
    if (const int error = makeFolders(path.substr(0, slash), mode))
      return error;
  return mkdir(path.c_str(), mode) == 0 || errno == EEXIST ? 0 : errno;
}

} // namespace nysjit
