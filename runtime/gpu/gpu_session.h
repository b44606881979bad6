// A GPU or the emulator as a program of ours uses it: a context, memory, what was launched.
#pragma once
#include "runtime/device/cuda_device.h"
#include "runtime/emulator/emulator.h"
#include "runtime/gpu/device_memory.h"

#include <dlpack/dlpack.h>
#include <memory>
#include <string>
#include <vector>

namespace nysjit {

/// When the emulator's asynchronous copies act (as late as they may, or as soon as they are
/// issued), and the order in which its warps run.
struct EmulatorSchedule {
  bool isLazy = false;
  uint64_t seed = 0;
};

/// The first device's primary context, current while this lives. Of one thread.
class GpuSession {
public:
  static Result<std::unique_ptr<GpuSession>> open(std::shared_ptr<CudaDevice> device);
  ~GpuSession();
  GpuSession(const GpuSession &) = delete;
  GpuSession &operator=(const GpuSession &) = delete;
  bool isEmulator() const { return device->isEmulator(); }
  const CudaDriver &driver() const { return device->driver(); }

  CudaGpu gpu() const { return driver().gpus().front(); }
  /// "0000:0a:00.0", of the GPU wherever a process sees it; "" if the driver does not say.
  std::string pciBusId() const;
  /// 0 if the driver does not say.
  size_t l2Bytes() const;

  /// On the emulator: options for the launches to come.
  Status configure(const EmulatorSchedule &schedule, const Target &target) const;
  /// nysjit_emulator_last_counts, null where nothing is counted.
  using LastCounts = int (*)(nysjit_emulator_counts *);
  LastCounts lastCounts() const;
  /// Waits for all launches. CheckFailed with the emulator's report if it found races or anything
  /// else.
  Status checkLaunches() const;
  /// What the emulator found, and refuses all calls for, is forgotten. A GPU's fault stays.
  void forgetFaults() const;

private:
  explicit GpuSession(std::shared_ptr<CudaDevice> device) : device(std::move(device)) {}
  std::shared_ptr<CudaDevice> device;
};

/// A copy in device memory of a tensor of the host's, which is row-major and compact. The session
/// outlives it, the host's tensor need not.
class GpuTensor {
public:
  static Result<std::unique_ptr<GpuTensor>> create(const GpuSession &session, const DLTensor &host);
  GpuTensor(const GpuTensor &) = delete;
  GpuTensor &operator=(const GpuTensor &) = delete;
  const DLTensor *get() const { return &view; }
  size_t bytes() const { return size; }
  /// All of it.
  Status copyTo(void *host) const;
  /// Every byte.
  Status fill(unsigned char byte) const;

private:
  explicit GpuTensor(const GpuSession &session) : session(session) {}
  const GpuSession &session;
  std::unique_ptr<DeviceMemory> memory;
  size_t size = 0;
  std::vector<int64_t> shape;
  DLTensor view{};
};

} // namespace nysjit
