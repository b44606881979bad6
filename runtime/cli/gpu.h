// The command's side of a GPU or of the emulator: a context, memory, copies.
#pragma once
#include "runtime/cli/launches.h"
#include "runtime/cli/options.h"
#include "runtime/cli/tensors.h"
#include "runtime/device/cuda_device.h"

#include <memory>

namespace nysjit::cli {

/// The first device's primary context, current while this lives.
class GpuSession {
public:
  static Result<std::unique_ptr<GpuSession>> open(std::shared_ptr<CudaDevice> device);
  ~GpuSession();
  const CudaDriver &driver() const { return device->driver(); }

  /// On the emulator: options for the launches to come.
  Status configure(const RunOptions &options, const Target &target) const;
  LaunchRecorder::LastCounts lastCounts() const;
  /// Waits for all launches. CheckFailed with the emulator's report if it found races or anything
  /// else.
  Status checkLaunches() const;

private:
  explicit GpuSession(std::shared_ptr<CudaDevice> device) : device(std::move(device)) {}
  std::shared_ptr<CudaDevice> device;
};

/// A tensor in device memory, with a tensor of the host's as its origin. Both sessions and tensors
/// outlive it.
class GpuTensor {
public:
  static Result<std::unique_ptr<GpuTensor>> create(const GpuSession &session, const Tensor &tensor);
  ~GpuTensor();
  const DLTensor *get() const { return view->get(); }
  Status copyTo(Tensor &tensor) const;

private:
  explicit GpuTensor(const GpuSession &session) : session(session) {}
  const GpuSession &session;
  CUdeviceptr memory = 0;
  std::optional<TensorView> view;
};

} // namespace nysjit::cli
