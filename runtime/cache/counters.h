// What happened to a cache folder, counted in its file "counters". Counts are for people: some are
// lost where two write at once for long, where a process is killed before it told of its own, and
// where the folder cannot be written.
#pragma once
#include "runtime/cache/file.h"
#include "runtime/cache/limits.h"

#include <cstdint>
#include <functional>
#include <optional>

namespace nysjit {

struct CacheCounters {
  uint64_t entries = 0; // there are, and their bytes: estimates between two scans of the folder
  uint64_t bytes = 0;
  uint64_t hits = 0; // since the folder was made or cleared
  uint64_t misses = 0;
  uint64_t stores = 0;
  uint64_t evictions = 0;
  uint64_t refused = 0; // entries there but damaged, unreadable or not trusted
};

bool isOver(const CacheCounters &size, const CacheLimits &limits);

/// Nothing if there is no such file that may be believed.
std::optional<CacheCounters> readCounters(const OpenFolder &folder);

/// Changes them in place, under a lock where there are locks. False if they could not be written.
bool changeCounters(const OpenFolder &folder, const std::function<void(CacheCounters &)> &change);

} // namespace nysjit
