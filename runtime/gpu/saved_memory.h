// The memory between a forward and a backward run.
#pragma once
#include "runtime/device/memory.h"
#include "runtime/gpu/gpu_session.h"

#include <memory>

namespace nysjit {

/// What a saving run keeps, in this process's memory or a GPU's.
class SavedMemory {
public:
  /// `gpu` null: on the CPU. Another call gives the memory back.
  Status allocate(size_t bytes, const GpuSession *gpu);
  void *get() const { return block; }
  size_t bytes() const { return size; }

private:
  AlignedMemory host;
  std::unique_ptr<DeviceMemory> device;
  void *block = nullptr;
  size_t size = 0;
};

} // namespace nysjit
