// Session: the device of a step, its context current on this thread, a stream, clocks, and
// programs out of the bundles.
#pragma once
#include "bench/gpu_day/options.h"
#include "runtime/cuda/driver.h"
#include "runtime/emulator/emulator.h"
#include "runtime/gpu/device_memory.h"
#include "runtime/include/nysjit.h"

#include <functional>
#include <memory>

namespace nysjit::gpu_day {

struct ReleaseProgram {
  void operator()(nysjit_program *program) const { nysjit_program_release(program); }
};
using Program = std::unique_ptr<nysjit_program, ReleaseProgram>;

class Session {
public:
  static Result<std::unique_ptr<Session>> open(const Options &options);
  ~Session();
  Session(const Session &) = delete;

  const CudaDriver &driver() const { return *library; }
  const CudaSymbols &api() const { return library->api(); }
  const CudaGpu &gpu() const { return library->gpus()[0]; }
  bool isEmulator() const { return library->symbol("nysjit_emulator_reset") != nullptr; }
  int attribute(int number) const; // 0 if the driver does not know it

  /// `config` "": the program's own block sizes.
  Result<Program> prepare(const std::string &spec, const std::string &config = "") const;
  /// Enqueues a run; `timings` of a measured run get its launches.
  Status run(const nysjit_program *program, nysjit_run_args &args,
             std::vector<nysjit_launch_timing> *timings = nullptr) const;
  /// Waits for all work.
  Status synchronize() const;
  /// Whether every call fails from now on, as after a fault of a kernel.
  bool isLost() const { return api().cuCtxSynchronize() != CUDA_SUCCESS; }
  /// Milliseconds between events around `count` calls in a row.
  Result<double> elapsedMs(int count, const std::function<Status()> &enqueue) const;
  /// The median of such times of one call, for about `seconds`; many short calls are timed in one.
  Result<double> medianMs(double seconds, const std::function<Status()> &enqueue) const;

  CUstream stream = nullptr;

private:
  Session() = default;
  std::shared_ptr<const CudaDriver> library;
  std::string target;
  CUcontext context = nullptr;
  nysjit_context *host = nullptr;
};

/// The calling thread's last error of the C API.
Error lastError();
double median(std::vector<double> values);

} // namespace nysjit::gpu_day
