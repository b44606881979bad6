// Measured, then written.
#include "runtime/base/format.h"

#include <cstdarg>
#include <cstdio>

namespace nysjit {

std::string format(const char *pattern, ...) {
  va_list values;
  va_list again;
  va_start(values, pattern);
  va_copy(again, values);
  const int length = std::vsnprintf(nullptr, 0, pattern, values);
  va_end(values);
  std::string text(size_t(length > 0 ? length : 0), '\0');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  return text;
}

} // namespace nysjit
