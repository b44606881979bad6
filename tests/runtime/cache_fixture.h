// What the tests of the cache share: a request, its key, an entry for it.
#pragma once
#include "runtime/cache/disk_cache.h"
#include "tests/runtime/temporary_folder.h"

#include <string>

namespace nysjit {

inline ProgramKey sampleKey(int headDim = 64) {
  KernelSpec spec;
  spec.layout = Layout::ExactCausal;
  spec.headDim = headDim;
  return programKey({spec, {}, Target{CpuLevel::V3}}, {}, {"build-id 01", "libLLVM 02", "none"});
}

inline CacheEntry sampleEntry(const ProgramKey &key = sampleKey(), size_t objectBytes = 6) {
  return {key.text, "{\"plan\":1}", "{}", std::string(objectBytes, '\x7f'), ".version 7.0"};
}

/// "", or why not.
inline std::string store(DiskCache &cache, const ProgramKey &key = sampleKey(),
                         size_t objectBytes = 6) {
  const Status stored = cache.store(key.hash, sampleEntry(key, objectBytes), CacheLimits());
  return stored ? "" : stored.error().found;
}

} // namespace nysjit
