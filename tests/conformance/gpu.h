// What the tests need of a GPU, real or emulated, beside the C API: memory on it, and the
// emulator's reports. Goes through the same driver table as the runtime.
#pragma once
#include "runtime/cuda/driver.h"
#include "runtime/emulator/emulator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nysjit::conformance {

/// A driver with its first device's primary context current on this thread while it lives.
class Gpu {
public:
  explicit Gpu(bool isEmulator) : emulator(isEmulator) {
    auto opened = CudaDriver::open(
        isEmulator ? std::vector<std::string>{NYSJIT_BINARY_DIR "/lib/libnysjit_ptx_emulator.so"}
                   : cudaDriverPlaces());
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      return;
    }
    driver = *opened;
    CUcontext context = nullptr;
    EXPECT_EQ(api().cuDevicePrimaryCtxRetain(&context, driver->gpus()[0].handle), CUDA_SUCCESS);
    EXPECT_EQ(api().cuCtxPushCurrent(context), CUDA_SUCCESS);
    if (isEmulator)
      function<void()>("nysjit_emulator_reset")();
  }
  ~Gpu() {
    if (!driver)
      return;
    CUcontext context = nullptr;
    api().cuCtxPopCurrent(&context);
    api().cuDevicePrimaryCtxRelease(driver->gpus()[0].handle);
  }
  const CudaSymbols &api() const { return driver->api(); }
  template <typename Signature> Signature *function(const char *name) const {
    return reinterpret_cast<Signature *>(driver->symbol(name));
  }
  /// For launches from now on, on a device of this compute capability; of at most `instructions`
  /// warp instructions (0: many).
  void configure(bool lazy, uint64_t seed, int capability, uint64_t instructions = 0) const {
    nysjit_emulator_options options = {};
    options.size = sizeof options;
    options.lazy = lazy;
    options.compute_capability = capability;
    options.seed = seed;
    options.max_instructions = instructions;
    EXPECT_EQ(function<int(const nysjit_emulator_options *)>("nysjit_emulator_configure")(&options),
              0);
  }
  nysjit_emulator_counts counts() const {
    nysjit_emulator_counts counts = {};
    counts.size = sizeof counts;
    EXPECT_EQ(function<int(nysjit_emulator_counts *)>("nysjit_emulator_last_counts")(&counts), 0);
    return counts;
  }
  /// Waits for all work; what the emulator found, "" for nothing. Forgets it.
  std::string findings() const {
    EXPECT_EQ(api().cuCtxSynchronize(), CUDA_SUCCESS) << driver->emulatorReport();
    std::string report = driver->emulatorReport();
    if (emulator)
      function<void()>("nysjit_emulator_reset")();
    return report;
  }

  const bool emulator;
  std::shared_ptr<const CudaDriver> driver;
};

/// Bytes on the device: copied in when made, or not yet written.
class DeviceBytes {
public:
  DeviceBytes(const Gpu &gpu, size_t size) : gpu(gpu) {
    EXPECT_EQ(gpu.api().cuMemAlloc(&address, std::max<size_t>(size, 1)), CUDA_SUCCESS);
  }
  DeviceBytes(const Gpu &gpu, const std::vector<char> &bytes) : DeviceBytes(gpu, bytes.size()) {
    copyFrom(bytes, 0, bytes.size());
  }
  ~DeviceBytes() { gpu.api().cuMemFree(address); }
  DeviceBytes(const DeviceBytes &) = delete;
  void copyFrom(const std::vector<char> &bytes, size_t begin, size_t end) const {
    EXPECT_EQ(gpu.api().cuMemcpyHtoD(address + begin, bytes.data() + begin, end - begin),
              CUDA_SUCCESS);
  }
  void copyTo(std::vector<char> &bytes) const {
    EXPECT_EQ(gpu.api().cuMemcpyDtoH(bytes.data(), address, bytes.size()), CUDA_SUCCESS);
  }
  void *pointer() const { return reinterpret_cast<void *>(address); }

private:
  const Gpu &gpu;
  CUdeviceptr address = 0;
};

} // namespace nysjit::conformance
