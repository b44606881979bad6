// CudaProgram: a plan with its cubin and PTX, ready to run on GPUs or the PTX emulator. Modules are
// loaded once for each CUDA context, when a program is first prepared or run in it.
#pragma once
#include "runtime/device/cuda_device.h"
#include "runtime/device/prepared_plan.h"
#include "runtime/device/program.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace nysjit {

class CudaProgram final : public DeviceProgram {
public:
  /// `cubin` may be empty, then the driver compiles the PTX; both must outlive the program. Without
  /// a device the program can be looked at but not run.
  static Result<std::unique_ptr<CudaProgram>> load(Plan plan, const std::string &cubin,
                                                   const std::string &ptx,
                                                   std::shared_ptr<CudaDevice> device);
  ~CudaProgram() override; // unloads the modules

  const Plan &plan() const override { return prepared.plan(); }
  size_t scratchBytes() const override { return 0; }
  Result<MemorySizes> sizes(const DLTensor *const *tensors, int64_t maxLength,
                            bool isSavedGiven) const override;
  /// After a first run of the same size in a context and on a stream this calls cuCtxGetCurrent and
  /// cuLaunchKernel(Ex), and nothing else of the driver's (with a context current and without an
  /// observer). Returns when all is enqueued. A kernel that may overlap is launched so behind
  /// another of the run, unless the run is measured.
  Status run(const ProgramRun &run) const override;

  /// Loads the module into the calling thread's current context, if it has one.
  Status loadIntoCurrent() const;

private:
  /// The program in one context.
  struct Loaded {
    CUcontext context = nullptr;
    int ordinal = 0;
    CUmodule module = nullptr;
    std::vector<CUfunction> functions; // of the plan's kernels
  };

  CudaProgram(PreparedPlan plan, const std::string &cubin, const std::string &ptx,
              std::shared_ptr<CudaDevice> device);
  Result<const Loaded *> loadedIn(CUcontext context) const;
  Status loadModule(Loaded &loaded) const;
  Status loadImage(const std::string &image, CUmodule &module, bool &isRefused) const;
  Status findFunctions(Loaded &loaded) const;
  Status launchAll(const Loaded &loaded, const RunNumbers &numbers, const ProgramRun &run) const;
  Status measureAll(const Loaded &loaded, const RunNumbers &numbers, const ProgramRun &run) const;
  CUresult launch(const Loaded &loaded, size_t number, int64_t grid, const uint64_t *values,
                  CUstream stream, bool overlaps) const;

  PreparedPlan prepared;
  const std::string &cubin;
  const std::string &ptx;
  std::shared_ptr<CudaDevice> device; // null: cannot run
  mutable std::mutex mutex;           // guards `contexts`
  mutable std::map<CUcontext, std::unique_ptr<const Loaded>> contexts;
  mutable std::atomic<const Loaded *> recent{nullptr}; // one of `contexts`
};

} // namespace nysjit
