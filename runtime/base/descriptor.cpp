// fcntl to move, fstat to tell.
#include "runtime/base/descriptor.h"
#include "runtime/base/temporary_places.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace nysjit {

Descriptor::Descriptor(int opened) noexcept {
  constexpr int least = 10;
  if (opened < 0)
    return;
  number = fcntl(opened, F_DUPFD_CLOEXEC, least);
  const int failure = errno == EINVAL ? EMFILE : errno; // what a limit of `least` itself is called
  ::close(opened);
  struct stat status;
  if (number >= 0 && fstat(number, &status) == 0) {
    device = status.st_dev;
    node = status.st_ino;
  }
  errno = failure;
}

Descriptor::Descriptor(Descriptor &&other) noexcept
    : number(std::exchange(other.number, -1)), device(other.device), node(other.node) {}

Descriptor &Descriptor::operator=(Descriptor &&other) noexcept {
  if (this == &other)
    return *this;
  close();
  number = std::exchange(other.number, -1);
  device = other.device;
  node = other.node;
  return *this;
}

bool Descriptor::isUntouched() const noexcept {
  struct stat status;
  return number >= 0 && fstat(number, &status) == 0 && status.st_dev == device &&
         status.st_ino == node;
}

void Descriptor::close() noexcept {
  if (isUntouched())
    ::close(number);
  number = -1;
}

Descriptor anonymousFile(const char *name) noexcept {
  if (Descriptor memory(memfd_create(name, MFD_CLOEXEC)); memory.isOpen() || errno == EMFILE)
    return memory;
  int failure = ENOENT;
  for (const char *place : temporaryPlaces()) {
    char path[PATH_MAX];
    if (std::snprintf(path, sizeof path, "%s/nysjit-XXXXXX", place) >= int(sizeof path))
      continue;
    const int file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) {
      unlink(path);
      return Descriptor(file);
    }
    failure = errno;
  }
  errno = failure;
  return Descriptor();
}

} // namespace nysjit
