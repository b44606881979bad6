// The signal goes to the thread that writes: it is blocked meanwhile, and taken away if it came.
#include "runtime/base/quiet_write.h"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <unistd.h>

namespace nysjit {

namespace {

bool writeAll(int file, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written == 0)
      errno = ENOSPC;
    if (written <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

} // namespace

bool writeQuietly(int file, std::string_view bytes) noexcept {
  sigset_t pending;
  sigset_t tooLarge;
  sigset_t before;
  sigemptyset(&tooLarge);
  sigaddset(&tooLarge, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &tooLarge, &before);
  const bool wasPending = sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
  const bool isDone = writeAll(file, bytes);
  const int failure = errno;
  if (!isDone && failure == EFBIG && !wasPending) {
    const timespec none = {};
    while (sigtimedwait(&tooLarge, nullptr, &none) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = failure;
  return isDone;
}

} // namespace nysjit
