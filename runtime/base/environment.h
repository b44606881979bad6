// Environment variables, read whole or refused by name. A process with another user's rights
// (setuid) reads none.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <optional>
#include <string>

namespace nysjit {

/// A variable's text, "" if it is not set or this process may not trust it.
std::string environmentSetting(const char *name);

/// A decimal number in [least, most], nothing if the variable is not set or empty. All other text,
/// as "2s", " 5" or "-1", is an InvalidArgument that names the variable.
Result<std::optional<int64_t>> environmentNumber(const char *name, int64_t least, int64_t most);

} // namespace nysjit
