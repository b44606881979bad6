// A file system that is slow and fails, to be preloaded: files under $BAD_FILES_UNDER are opened,
// read, written, flushed, renamed, locked and closed late ($BAD_FILES_DELAY_US at most) and, of a
// thousand calls, $BAD_FILES_FAIL do not succeed. $BAD_FILES_CALLS names those that may fail ("open
// rename"); without it all may. $BAD_FILES_ERROR is the number of the error, else each call has
// some that a network file system gives it. $BAD_FILES_SEED makes the choice another.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <unistd.h>

namespace {

template <typename Function> Function *next(const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

std::string setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}
uint64_t number(const char *name) { return std::strtoull(setting(name).c_str(), nullptr, 10); }

uint64_t random64() {
  static std::atomic<uint64_t> calls{0};
  uint64_t x = number("BAD_FILES_SEED") * 0x9e3779b97f4a7c15 + uint64_t(getpid()) * 0x100000001b3 +
               ++calls * 0xbf58476d1ce4e5b9;
  for (int i = 0; i < 3; ++i) {
    x ^= x >> 31;
    x *= 0x94d049bb133111eb;
  }
  return x ^ (x >> 29);
}

std::string pathOf(int file) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t count = readlink(link.c_str(), path, sizeof path);
  return count > 0 ? std::string(path, static_cast<size_t>(count)) : "";
}

bool isUnder(const std::string &path) {
  const std::string under = setting("BAD_FILES_UNDER");
  return !under.empty() && path.starts_with(under);
}

/// Delays a call, then says whether it fails; errno is set then.
bool fails(const char *call, std::initializer_list<int> errors) {
  if (const uint64_t delay = number("BAD_FILES_DELAY_US"); delay > 0)
    usleep(static_cast<useconds_t>(random64() % delay));
  const std::string calls = setting("BAD_FILES_CALLS");
  if (!calls.empty() && (" " + calls + " ").find(std::string(" ") + call + " ") == calls.npos)
    return false;
  if (random64() % 1000 >= number("BAD_FILES_FAIL"))
    return false;
  const uint64_t given = number("BAD_FILES_ERROR");
  errno = given ? static_cast<int>(given) : errors.begin()[random64() % errors.size()];
  return true;
}

} // namespace

extern "C" {

int openat(int folder, const char *name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  static auto *const real = next<int(int, const char *, int, ...)>("openat");
  const std::string path = name[0] == '/' || folder == AT_FDCWD ? name : pathOf(folder);
  if (isUnder(path) && fails("open", {EIO, ESTALE, EMFILE, EACCES}))
    return -1;
  return real(folder, name, flags, mode);
}

ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
  static auto *const real = next<ssize_t(int, void *, size_t, off_t)>("pread");
  if (isUnder(pathOf(file)) && fails("read", {EIO, ESTALE, EINTR, 0})) {
    if (errno != 0)
      return -1;
    count = std::min<size_t>(count, 7); // a short read
  }
  return real(file, bytes, count, offset);
}

ssize_t write(int file, const void *bytes, size_t count) {
  static auto *const real = next<ssize_t(int, const void *, size_t)>("write");
  if (isUnder(pathOf(file)) && fails("write", {EIO, ENOSPC, EDQUOT, EINTR, 0})) {
    if (errno != 0)
      return -1;
    count = std::min<size_t>(count, 7); // a short write
  }
  return real(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  static auto *const real = next<ssize_t(int, const void *, size_t, off_t)>("pwrite");
  if (isUnder(pathOf(file)) && fails("write", {EIO, ENOSPC}))
    return -1;
  return real(file, bytes, count, offset);
}

int fsync(int file) {
  static auto *const real = next<int(int)>("fsync");
  if (isUnder(pathOf(file)) && fails("fsync", {EIO, ENOSPC, EDQUOT}))
    return -1;
  return real(file);
}

int renameat(int from, const char *name, int to, const char *newName) {
  static auto *const real = next<int(int, const char *, int, const char *)>("renameat");
  if (isUnder(pathOf(from)) && fails("rename", {EIO, ESTALE, EACCES, EXDEV}))
    return -1;
  return real(from, name, to, newName);
}

int flock(int file, int operation) {
  static auto *const real = next<int(int, int)>("flock");
  if (isUnder(pathOf(file)) && fails("flock", {ENOLCK, EINTR, EOPNOTSUPP}))
    return -1;
  return real(file, operation);
}

int unlinkat(int folder, const char *name, int flags) {
  static auto *const real = next<int(int, const char *, int)>("unlinkat");
  if (isUnder(pathOf(folder)) && fails("unlink", {EIO, EACCES}))
    return -1;
  return real(folder, name, flags);
}

/// The file is closed, but what was written is lost.
int close(int file) {
  static auto *const real = next<int(int)>("close");
  const bool isBad = isUnder(pathOf(file)) && fails("close", {EIO, EDQUOT, ENOSPC});
  const int error = errno;
  const int result = real(file);
  errno = isBad ? error : errno;
  return isBad ? -1 : result;
}

} // extern "C"
