// Per-thread memory. Freed when its thread ends.
#include "runtime/device/memory.h"
#include "runtime/base/per_thread.h"

#include <cstdint>
#include <cstdlib>

namespace nysjit {

namespace {

/// The next multiple of the alignment; 0 if there is none.
size_t roundedUp(size_t bytes) {
  return bytes > SIZE_MAX - memoryAlignment
             ? 0
             : (bytes + memoryAlignment - 1) / memoryAlignment * memoryAlignment;
}

struct ThreadMemory {
  AlignedMemory scratch;
  AlignedMemory workspace;
  bool workspaceInUse = false;
};

} // namespace

AlignedMemory::~AlignedMemory() { std::free(block); }

void *AlignedMemory::reserve(size_t bytes) noexcept {
  if (block && bytes <= capacity)
    return block;
  const size_t rounded = roundedUp(bytes == 0 ? 1 : bytes);
  void *grown = rounded ? std::aligned_alloc(memoryAlignment, rounded) : nullptr;
  if (!grown)
    return nullptr;
  std::free(block);
  block = grown;
  capacity = rounded;
  return block;
}

void *threadScratch(size_t bytes) noexcept {
  ThreadMemory *thread = PerThread<ThreadMemory>::get();
  return thread ? thread->scratch.reserve(bytes) : nullptr;
}

WorkspaceLease::WorkspaceLease(size_t bytes, const HostMemory &given, size_t scratchBytes,
                               size_t threads) noexcept
    : host(given) {
  if (host.allocate) {
    const size_t workspace = roundedUp(bytes);
    const size_t stride = roundedUp(scratchBytes);
    if ((bytes && !workspace) || (stride && threads > (SIZE_MAX - workspace) / stride))
      return;
    hostBytes = workspace + stride * threads;
    hostBytes += hostBytes == 0 ? memoryAlignment : 0;
    block = host.allocate(host.context, hostBytes, memoryAlignment);
    if (block)
      threadScratches = {static_cast<char *>(block) + workspace, stride};
    return;
  }
  ThreadMemory *thread = PerThread<ThreadMemory>::get();
  isThreads = thread && !thread->workspaceInUse;
  if (isThreads)
    thread->workspaceInUse = true;
  block = (isThreads ? thread->workspace : own).reserve(bytes);
}

WorkspaceLease::~WorkspaceLease() {
  if (host.allocate && block)
    host.release(host.context, block, hostBytes);
  if (isThreads)
    PerThread<ThreadMemory>::get()->workspaceInUse = false;
}

} // namespace nysjit
