// Writing a file of the cache so that nobody ever sees half of it: aside, onto the disk, renamed.
#pragma once
#include "runtime/cache/file.h"

#include <string>
#include <string_view>

namespace nysjit {

/// What a file that is being written is called: NAME.RANDOM.tmp. Its writer holds it locked.
inline constexpr const char *asideSuffix = ".tmp";

/// Readers see the old file or the whole new one, on this machine and on others. The file's mode is
/// 0644 less the umask. 0, or the number of the error; then nothing is left behind. No signal
/// comes, whatever the limit on a file's size (RLIMIT_FSIZE).
int publishFile(const OpenFolder &folder, const std::string &name, std::string_view bytes);

/// While it lives, a write past the limit on a file's size is EFBIG in this thread and no signal.
class NoSizeSignal {
public:
  NoSizeSignal();
  ~NoSizeSignal();
  NoSizeSignal(const NoSizeSignal &) = delete;
  NoSizeSignal &operator=(const NoSizeSignal &) = delete;

private:
  bool isBlockedHere = false; // else it was blocked before
  bool wasPending = false;
};

/// write(), all of it. 0 or the number of the error.
int writeWhole(int file, std::string_view bytes);

} // namespace nysjit
