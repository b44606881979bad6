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

} // namespace nysjit
