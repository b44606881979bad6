// What a kernel takes beside time.
#pragma once
#include "runtime/base/json.h"

#include <cstdint>

namespace nysjit::tune {

/// 0 where there is none, or it is not known.
struct KernelResources {
  int64_t scratchBytes = 0; // on the CPU, of a thread
  int64_t sharedBytes = 0;  // on a GPU, of a block
  int64_t registers = 0;    // of a thread
  int64_t spillBytes = 0;   // of a thread
  bool operator==(const KernelResources &) const = default;

  /// What it takes of the memory that is near, whatever that is called.
  int64_t nearBytes() const { return scratchBytes + sharedBytes; }
};

/// Of each the most.
KernelResources most(const KernelResources &one, const KernelResources &other);
/// {"scratch_bytes", "shared_bytes", "registers", "spill_bytes"}, without those that are 0.
Json resourcesObject(const KernelResources &resources);
KernelResources resourcesFrom(const Json &object);

} // namespace nysjit::tune
