// How large the cache may grow.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>

namespace nysjit {

/// 0: no limit.
struct CacheLimits {
  uint64_t bytes = uint64_t(2) << 30;
  uint64_t entries = 20000;
};

/// $NYSJIT_CACHE_MAX_BYTES and $NYSJIT_CACHE_MAX_ENTRIES over the defaults. InvalidArgument if one
/// is no whole number.
Result<CacheLimits> cacheLimits();

} // namespace nysjit
