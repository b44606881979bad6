// Allocating and copying.
#include "runtime/gpu/device_memory.h"

#include <algorithm>

namespace nysjit {

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::allocate(const CudaDriver &driver,
                                                             size_t bytes) {
  std::unique_ptr<DeviceMemory> memory(new DeviceMemory(driver, std::max<size_t>(bytes, 1)));
  NYSJIT_RETURN_IF_ERROR(driver.check(driver.api().cuMemAlloc(&memory->address, memory->bytes),
                                      "cuMemAlloc of " + std::to_string(memory->bytes) + " bytes"));
  return memory;
}

DeviceMemory::~DeviceMemory() {
  if (address)
    (void)driver.api().cuMemFree(address);
}

Status DeviceMemory::write(const void *from, size_t count) const {
  return count == 0 ? Status()
                    : driver.check(driver.api().cuMemcpyHtoD(address, from, count), "cuMemcpyHtoD");
}

Status DeviceMemory::read(void *to, size_t count) const {
  return count == 0 ? Status()
                    : driver.check(driver.api().cuMemcpyDtoH(to, address, count), "cuMemcpyDtoH");
}

} // namespace nysjit
