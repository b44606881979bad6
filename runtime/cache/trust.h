// Whose word a file of the cache is. What is kept there is run, so a file or folder that another
// user could have written is not believed, nor written into.
#pragma once
#include <string>
#include <sys/stat.h>
#include <sys/types.h>

namespace nysjit {

/// "" if nobody but `self` and root could have written what has this status; else the reason: it is
/// owned by another user, or its group or everyone may write it. A sticky folder, as /tmp is, is
/// one that everyone may write. For root, `self` is 0: root believes root alone.
std::string whyNotTrusted(const struct stat &status, uid_t self);
/// The same for this process: its effective user.
std::string whyNotTrusted(const struct stat &status);

} // namespace nysjit
