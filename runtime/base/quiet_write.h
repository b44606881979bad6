// write() for a process that is not ours: past the limit of a file's size (RLIMIT_FSIZE) the system
// sends SIGXFSZ, which ends a host that does not know of it. Here it is an error like the others.
#pragma once
#include <string_view>

namespace nysjit {

/// Writes all of it, going on after interruptions. False with errno as write() set it, EFBIG past
/// the limit. The thread's signals and the host's handlers are as before.
bool writeQuietly(int file, std::string_view bytes) noexcept;

} // namespace nysjit
