// Folders for files that do not last.
#pragma once
#include <array>

namespace nysjit {

/// $TMPDIR if it is an absolute path, /tmp, /var/tmp, /dev/shm: to be tried in this order.
std::array<const char *, 4> temporaryPlaces() noexcept;

} // namespace nysjit
