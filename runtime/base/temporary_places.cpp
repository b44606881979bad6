// Folders for files that do not last.
#include "runtime/base/temporary_places.h"

#include <cstdlib>

namespace nysjit {

std::array<const char *, 4> temporaryPlaces() noexcept {
  const char *set = secure_getenv("TMPDIR");
  return {set && *set == '/' ? set : "/tmp", "/tmp", "/var/tmp", "/dev/shm"};
}

} // namespace nysjit
