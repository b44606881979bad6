// printf into a string.
#pragma once
#include <string>

namespace nysjit {

[[gnu::format(printf, 1, 2)]] std::string format(const char *pattern, ...);

} // namespace nysjit
