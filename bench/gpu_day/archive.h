// Files in one, compressed by liblzma: a target's programs are alike. It is linked in, as not every
// machine with a GPU has xz.
#pragma once
#include "runtime/base/result.h"

#include <string>
#include <vector>

namespace nysjit::gpu_day {

/// Writes `files` under their names without folders. Each line "NAME BYTES", then the bytes.
Status packFiles(const std::string &archive, const std::vector<std::string> &files);
/// Into `folder`. InvalidFile if the archive is cut off or changed.
Status unpackFiles(const std::string &archive, const std::string &folder);

} // namespace nysjit::gpu_day
