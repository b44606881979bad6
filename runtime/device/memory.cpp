// Per-thread memory. Freed when its thread ends.
#include "runtime/device/memory.h"

#include <cstdint>
#include <cstdlib>

namespace nysjit {

AlignedMemory::~AlignedMemory() { std::free(block); }

void *AlignedMemory::reserve(size_t bytes) noexcept {
  if (block && bytes <= capacity)
    return block;
  if (bytes > SIZE_MAX - memoryAlignment)
    return nullptr;
  const size_t rounded = bytes == 0
                             ? memoryAlignment
                             : (bytes + memoryAlignment - 1) / memoryAlignment * memoryAlignment;
  void *grown = std::aligned_alloc(memoryAlignment, rounded);
  if (!grown)
    return nullptr;
  std::free(block);
  block = grown;
  capacity = rounded;
  return block;
}

namespace {
struct ThreadMemory {
  AlignedMemory scratch;
  AlignedMemory workspace;
  bool workspaceInUse = false;
};
thread_local ThreadMemory threadMemory;
} // namespace

void *threadScratch(size_t bytes) noexcept { return threadMemory.scratch.reserve(bytes); }

WorkspaceLease::WorkspaceLease(size_t bytes) noexcept {
  isThreads = !threadMemory.workspaceInUse;
  if (isThreads)
    threadMemory.workspaceInUse = true;
  block = (isThreads ? threadMemory.workspace : own).reserve(bytes);
}

WorkspaceLease::~WorkspaceLease() {
  if (isThreads)
    threadMemory.workspaceInUse = false;
}

} // namespace nysjit
