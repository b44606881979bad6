// On the CPU 64-byte aligned, on a GPU as its driver aligns.
#include "runtime/gpu/saved_memory.h"

namespace nysjit {

Status SavedMemory::allocate(size_t bytes, const GpuSession *gpu) {
  size = bytes;
  if (!gpu) {
    block = host.reserve(bytes);
    return block ? Status()
                 : Error::mismatch(ErrorKind::Io, "saved",
                                   std::to_string(bytes) + " bytes of memory", "not enough");
  }
  Result<std::unique_ptr<DeviceMemory>> allocated = DeviceMemory::allocate(gpu->driver(), bytes);
  NYSJIT_RETURN_IF_ERROR(allocated);
  device = std::move(*allocated);
  block = reinterpret_cast<void *>(uintptr_t(device->address));
  return {};
}

} // namespace nysjit
