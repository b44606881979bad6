// A run of one timed shape: tensors of random numbers in device memory, in the spec's dtype.
#pragma once
#include "bench/gpu_day/cases.h"
#include "bench/gpu_day/session.h"

namespace nysjit::gpu_day {

class TimedRun {
public:
  static Result<std::unique_ptr<TimedRun>> create(const Session &session, const TimedCase &one,
                                                  const std::string &config = "");
  /// All heads, on the session's stream; measured (and waited for) if `timings` are asked for.
  Status enqueue(std::vector<nysjit_launch_timing> *timings = nullptr) const;
  /// The last head by itself, into its own place.
  Status enqueueLastHead() const;
  /// NaNs wherever the output is.
  Status clearOutput() const;
  /// Waits; the bytes of the last head's output.
  Status lastHead(std::vector<char> &bytes) const;

  const nysjit_program *handle() const { return program.get(); }
  /// Of all heads, for runs by other means.
  nysjit_run_args arguments() const;

private:
  TimedRun(const Session &session, const TimedCase &one);
  Status fill(const DeviceMemory &memory, size_t known) const;

  const Session &session;
  const size_t width;
  int64_t shape[4];
  int64_t oneHead[4];
  Program program;
  std::unique_ptr<DeviceMemory> memory[4]; // q, k, v, o
  DLTensor all[4] = {};
  DLTensor last[4] = {};
};

} // namespace nysjit::gpu_day
