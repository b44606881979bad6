// Small kernels of the day's own, as PTX: what any GPU from sm_80 on runs and the emulator, too.
#pragma once
#include "bench/gpu_day/session.h"
#include "runtime/gpu/mma_loop.h"

namespace nysjit::gpu_day {

/// A module with one kernel. The session outlives it.
class Kernel {
public:
  static Result<std::unique_ptr<Kernel>> load(const Session &session, const std::string &ptx,
                                              const char *name);
  ~Kernel() { (void)session.api().cuModuleUnload(module); }
  Kernel(const Kernel &) = delete;
  /// Parameters: pointers to their values.
  Status launch(int blocks, int threads, std::vector<void *> parameters) const;

private:
  explicit Kernel(const Session &session) : session(session) {}
  const Session &session;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
};

/// nothing(): what a launch costs by itself.
extern const char *const nothingPtx;
/// fault(): writes to address 16.
extern const char *const faultPtx;

/// The PTX of all of them, as it is loaded.
std::vector<std::string> ownKernels();

} // namespace nysjit::gpu_day
