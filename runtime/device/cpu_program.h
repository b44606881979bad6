// CpuProgram: a plan and its binary, ready to run on this machine's CPU. Immutable after load; any number of threads
// may run it at once.
#pragma once
#include "runtime/device/shared_object.h"
#include "runtime/device/tensors.h"
#include "runtime/device/threads.h"
#include "runtime/plan/plan.h"

#include <memory>
#include <string_view>
#include <vector>

namespace nysjit {

/// Called after each launch with its kernel's name, grid and wall time.
struct LaunchObserver {
  void (*observe)(void *context, const char *kernel, int64_t grid, double ms) = nullptr;
  void *context = nullptr;
};

/// One run's arguments.
struct CpuRun {
  const DLTensor *const *tensors = nullptr; // one a plan argument, in the plan's order
  float scale = 1;
  void *workspace = nullptr; // null: the calling thread's own
  size_t workspaceBytes = 0;
  LaunchObserver observer;
};

class CpuProgram {
public:
  /// Loads the binary and finds the plan's kernels in it. `privateFolder` is SharedObject::load's.
  static Result<std::unique_ptr<CpuProgram>> load(Plan plan, std::string_view object, const std::string &privateFolder);

  const Plan &plan() const { return launchPlan; }
  /// The largest scratch of any kernel.
  size_t scratchBytes() const { return scratch; }
  /// Looks at shapes, strides and dtypes, not at the data.
  Result<size_t> workspaceBytes(const DLTensor *const *tensors) const;
  /// Checks everything, then launches. After a first run of the same size on a thread this allocates nothing.
  Status run(const CpuRun &run, Threads &threads) const;

private:
  using KernelFunction = void (*)(const uint64_t *parameters, int64_t program, void *scratch);
  struct Parameter {
    ParameterType type;
    size_t memory; // Pointer: number of the argument, or arguments + number of the buffer
    CompiledExpression value;
  };
  struct Launch {
    KernelFunction function;
    const PlanKernel *kernel;
    CompiledExpression grid, when;
    std::vector<Parameter> parameters;
  };
  struct Precondition {
    CompiledExpression holds;
    const PlanPrecondition *text;
  };
  struct Prepared; // numbers of one run

  CpuProgram(Plan plan, SharedObject object);
  Status compileExpressions();
  Status checkPreconditions(const int64_t *values) const;
  Status layOutBuffers(const int64_t *values, size_t *offsets, size_t &total) const;
  Status fillParameters(const Launch &launch, const int64_t *values, void *const *memory, float scale,
                        uint64_t *slots) const;
  std::string substitute(const std::string &sentence, const int64_t *values) const;

  Plan launchPlan;
  SharedObject binary;
  TensorBinder binder;
  std::vector<std::string> symbols;
  std::vector<Precondition> preconditions;
  std::vector<CompiledExpression> buffers;
  std::vector<Launch> launches;
  size_t scratch = 0;
};

} // namespace nysjit
