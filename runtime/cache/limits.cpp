// Two variables.
#include "runtime/cache/limits.h"
#include "runtime/base/environment.h"

namespace nysjit {

Result<CacheLimits> cacheLimits() {
  CacheLimits limits;
  Result<std::optional<int64_t>> bytes = environmentNumber("NYSJIT_CACHE_MAX_BYTES", 0, INT64_MAX);
  NYSJIT_RETURN_IF_ERROR(bytes);
  Result<std::optional<int64_t>> entries =
      environmentNumber("NYSJIT_CACHE_MAX_ENTRIES", 0, INT64_MAX);
  NYSJIT_RETURN_IF_ERROR(entries);
  limits.bytes = static_cast<uint64_t>(bytes->value_or(static_cast<int64_t>(limits.bytes)));
  limits.entries = static_cast<uint64_t>(entries->value_or(static_cast<int64_t>(limits.entries)));
  return limits;
}

} // namespace nysjit
