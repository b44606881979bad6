// Where what was installed with this library may lie.
#pragma once
#include "runtime/base/result.h"

#include <initializer_list>
#include <string>
#include <vector>

namespace nysjit {

/// folder + step + name for the folders of this library and of the running executable and for each
/// step, e.g. "/" and "/../bin/". Libraries may lie in lib, lib64 or, as Debian's, in
/// lib/x86_64-linux-gnu. Links are followed. Io where there is no memory for that.
Result<std::vector<std::string>> installedPaths(std::initializer_list<const char *> steps,
                                                const std::string &name);

/// A file that may be executed.
bool isExecutableFile(const std::string &path);

/// "a, b, c"
std::string joined(const std::vector<std::string> &names);

} // namespace nysjit
