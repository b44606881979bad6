// DeviceProgram: a plan and its binary, ready to run on some device. Immutable after load; any
// number of threads may run it at once.
#pragma once
#include "runtime/base/result.h"
#include "runtime/plan/plan.h"

#include <cstdint>
#include <dlpack/dlpack.h>

namespace nysjit {

class RunFloatEnvironment;

/// Told of each launch of a run.
struct LaunchObserver {
  /// After the launch is done, in order: its kernel's name, grid, threads of a block and time.
  void (*observe)(void *context, const char *kernel, int64_t grid, int64_t block,
                  double ms) = nullptr;
  /// As soon as the launch was handed to a device that has streams. May be null.
  void (*enqueued)(void *context) = nullptr;
  void *context = nullptr;
};

/// One run's arguments.
struct ProgramRun {
  const DLTensor *const *tensors = nullptr; // one a plan argument, in the plan's order
  int64_t maxLength = 0;                    // of the sequences; 0: not said
  float scale = 1;
  void *workspace = nullptr; // null: the device's own
  size_t workspaceBytes = 0;
  void *saved = nullptr; // null: none
  size_t savedBytes = 0;
  void *stream = nullptr;
  LaunchObserver observer;
  // what the run computes in; null: whatever the calling thread has
  RunFloatEnvironment *environment = nullptr;
};

/// Bytes that a run takes of the caller's memory.
struct MemorySizes {
  size_t workspace = 0;
  size_t saved = 0; // where it is given
};

class DeviceProgram {
public:
  virtual ~DeviceProgram() = default;
  virtual const Plan &plan() const = 0;
  /// What a run takes for each thread of the CPU.
  virtual size_t scratchBytes() const = 0;
  /// Looks at shapes, strides, dtypes and devices, not at the data.
  virtual Result<MemorySizes> sizes(const DLTensor *const *tensors, int64_t maxLength,
                                    bool isSavedGiven) const = 0;
  /// Checks everything, then launches.
  virtual Status run(const ProgramRun &run) const = 0;
};

} // namespace nysjit
