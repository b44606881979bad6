// secure_getenv, and numbers by from_chars.
#include "runtime/base/environment.h"

#include <charconv>
#include <cstdlib>

namespace nysjit {

std::string environmentSetting(const char *name) {
  const char *value = secure_getenv(name);
  return value ? value : "";
}

Result<std::optional<int64_t>> environmentNumber(const char *name, int64_t least, int64_t most) {
  const std::string text = environmentSetting(name);
  if (text.empty())
    return std::optional<int64_t>();
  int64_t number = 0;
  const char *const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < least || number > most)
    return Error::mismatch(ErrorKind::InvalidArgument, name,
                           "a whole number from " + std::to_string(least) + " to " +
                               std::to_string(most),
                           "\"" + text + "\"");
  return std::optional<int64_t>(number);
}

} // namespace nysjit
