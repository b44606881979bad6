// CudaDevice: what the programs of one host context share on GPUs: the driver, primary contexts
// that were retained for callers who had none current, and workspaces.
#pragma once
#include "runtime/cuda/driver.h"
#include "runtime/device/stream_workspaces.h"
#include "runtime/spec/spec.h"

#include <memory>
#include <mutex>
#include <vector>

namespace nysjit {

class CudaDevice {
public:
  /// Opens libcuda, or for DeviceKind::PtxEmulator the emulator. Calls cuInit; makes no context.
  static Result<std::shared_ptr<CudaDevice>> open(DeviceKind kind);
  ~CudaDevice(); // frees workspaces, releases contexts

  bool isEmulator() const { return own == DeviceKind::PtxEmulator; }
  const CudaDriver &driver() const { return *library; }
  StreamWorkspaces &workspaces() { return blocks; }

  /// What is best for the device of the calling thread's current context, or for the first device
  /// if there is none.
  Result<Target> defaultTarget() const;
  /// That device.
  Result<CudaGpu> currentGpu() const;
  /// Unavailable unless some device (by `gpu` a particular one) runs code for the target. The
  /// emulator runs all.
  Status checkRuns(const Target &target) const;
  Status checkRuns(const Target &target, const CudaGpu &gpu) const;
  /// The number of a context's device, which must be current.
  Result<int> currentOrdinal() const;
  /// A device's primary context, retained once and kept.
  Result<CUcontext> primaryContext(int ordinal);

private:
  CudaDevice(DeviceKind kind, std::shared_ptr<const CudaDriver> driver);

  DeviceKind own;
  std::shared_ptr<const CudaDriver> library;
  std::mutex mutex; // guards what follows
  std::vector<CUcontext> primaries;
  StreamWorkspaces blocks;
};

/// The CUDA context of one call: the calling thread's current one; if there is none, the primary
/// context of device `ordinal`, current while this lives.
class ContextScope {
public:
  static Result<ContextScope> enter(CudaDevice &device, int ordinal);
  ContextScope(ContextScope &&other) noexcept;
  ContextScope &operator=(ContextScope &&) = delete;
  ~ContextScope();
  CUcontext context() const { return current; }

private:
  ContextScope(CudaDevice &device, CUcontext context, bool isPushed)
      : device(&device), current(context), isPushed(isPushed) {}
  CudaDevice *device;
  CUcontext current;
  bool isPushed;
};

} // namespace nysjit
