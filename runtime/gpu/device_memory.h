// Memory of the current CUDA context.
#pragma once
#include "runtime/cuda/driver.h"

#include <memory>

namespace nysjit {

/// The driver outlives it, and the context is current wherever it is used.
class DeviceMemory {
public:
  /// At least one byte.
  static Result<std::unique_ptr<DeviceMemory>> allocate(const CudaDriver &driver, size_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;
  /// The first `count` bytes, from the host's memory or to it.
  Status write(const void *from, size_t count) const;
  Status read(void *to, size_t count) const;

  const size_t bytes;
  CUdeviceptr address = 0;

private:
  DeviceMemory(const CudaDriver &driver, size_t bytes) : bytes(bytes), driver(driver) {}
  const CudaDriver &driver;
};

} // namespace nysjit
