// Each step's error is the whole's: on a network file system a full disk may be told by fsync or
// by close, not by write.
#include "runtime/cache/publish.h"
#include "runtime/base/quiet_write.h"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// Six letters that hardly another writer has; one who has them tries others.
std::string randomLetters() {
  constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
  uint64_t bits = 0;
  timespec now = {};
  if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits &&
      clock_gettime(CLOCK_MONOTONIC, &now) == 0)
    bits = static_cast<uint64_t>(now.tv_nsec) * 0x9e3779b97f4a7c15u ^
           static_cast<uint64_t>(getpid()) << 16;
  std::string text;
  for (int i = 0; i < 6; ++i, bits >>= 5)
    text += letters[bits & 31];
  return text;
}

/// A file system may have no fsync; its close has to do.
int flushFile(int file) {
  while (fsync(file) != 0) {
    if (errno == EINVAL || errno == ENOTSUP || errno == ENOSYS)
      return 0;
    if (errno != EINTR)
      return errno;
  }
  return 0;
}

int renameOver(const OpenFolder &folder, const std::string &aside, const std::string &name) {
  const int at = folder.descriptor();
  for (int tries = 0; renameat(at, aside.c_str(), at, name.c_str()) != 0; ++tries) {
    const int error = errno;
    if (tries == 3)
      return error;
    // An empty folder in the file's place makes room.
    if (error == EISDIR && unlinkat(at, name.c_str(), AT_REMOVEDIR) != 0)
      return error;
    if (error != EISDIR && error != ESTALE && error != EINTR)
      return error;
  }
  return 0;
}

} // namespace

int publishFile(const OpenFolder &folder, const std::string &name, std::string_view bytes) {
  const int at = folder.descriptor();
  std::string aside;
  int opened = -1;
  for (int tries = 0; opened < 0; ++tries) {
    aside = name + "." + randomLetters() + asideSuffix;
    opened = openat(at, aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (opened < 0 && (tries == 8 || (errno != EEXIST && errno != ESTALE && errno != EINTR)))
      return errno;
  }
  ScopedFile file(opened);
  (void)flock(opened, LOCK_EX | LOCK_NB); // tells `nysjit cache gc` that its writer is alive
  int error = writeQuietly(opened, bytes) ? 0 : errno;
  if (error == 0)
    error = flushFile(opened);
  if (const int closed = file.closeNow(); error == 0)
    error = closed;
  if (error == 0)
    error = renameOver(folder, aside, name);
  if (error == 0)
    folder.flush();
  else
    (void)unlinkat(at, aside.c_str(), 0);
  return error;
}

} // namespace nysjit
