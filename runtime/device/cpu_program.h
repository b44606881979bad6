// CpuProgram: a plan and its shared object, ready to run on this machine's CPU.
#pragma once
#include "runtime/device/memory.h"
#include "runtime/device/prepared_plan.h"
#include "runtime/device/program.h"
#include "runtime/device/shared_object.h"
#include "runtime/device/threads.h"

#include <memory>
#include <string_view>
#include <vector>

namespace nysjit {

class CpuProgram final : public DeviceProgram {
public:
  /// Loads the binary and finds the plan's kernels in it. `privateFolder` is SharedObject::load's;
  /// `memory` takes the place of the threads' own.
  static Result<std::unique_ptr<DeviceProgram>> load(Plan plan, std::string_view object,
                                                     const std::string &privateFolder,
                                                     std::shared_ptr<Threads> threads,
                                                     const HostMemory &memory = {});

  const Plan &plan() const override { return prepared.plan(); }
  /// The largest scratch of any kernel.
  size_t scratchBytes() const override { return scratch; }
  Result<MemorySizes> sizes(const DLTensor *const *tensors, int64_t maxLength,
                            bool isSavedGiven) const override;
  /// Without a workspace in `run` the calling thread's own. After a first run of the same size on a
  /// thread this allocates nothing and makes no system call but those that threads wait with.
  Status run(const ProgramRun &run) const override;

private:
  using KernelFunction = void (*)(const uint64_t *parameters, int64_t cell, void *scratch);

  CpuProgram(PreparedPlan plan, SharedObject object, std::shared_ptr<Threads> threads,
             const HostMemory &memory);
  Status findKernels();
  Status launch(ThreadTeam &team, size_t number, int64_t grid, const uint64_t *parameters,
                bool isLast, const LaunchObserver &observer) const;

  PreparedPlan prepared;
  SharedObject binary;
  std::shared_ptr<Threads> threads;
  HostMemory memory;
  std::vector<KernelFunction> functions; // of the plan's kernels
  size_t scratch = 0;
};

} // namespace nysjit
