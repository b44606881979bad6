// PreparedPlan: what a run does before its first launch, the same on every device: bind the
// symbols, check the preconditions, lay out the workspace, compute grids, fill the parameters.
// Immutable; nothing in a run allocates unless it fails.
#pragma once
#include "runtime/device/program.h"
#include "runtime/device/tensors.h"
#include "runtime/plan/plan.h"

#include <vector>

namespace nysjit {

/// Parameters of all launches of a run; they lie on the stack.
constexpr size_t maxRunParameters = 3072;

/// The numbers of one run.
struct RunNumbers {
  int64_t values[maxPlanSymbols];                  // of the symbols
  void *memory[maxPlanArguments + maxPlanEntries]; // addresses of arguments, then of buffers
  size_t offsets[maxPlanEntries];                  // of buffers in their memory
  size_t workspaceBytes = 0;
  size_t savedBytes = 0;         // 0 where the caller passes none
  int64_t grids[maxPlanEntries]; // of launches; 0: skipped
  size_t last = SIZE_MAX;        // the last launch that is not skipped; SIZE_MAX: there is none
  // parameters of the launches that are not skipped, one after the other
  uint64_t parameters[maxRunParameters];
};

class PreparedPlan {
public:
  static Result<PreparedPlan> create(Plan plan);

  const Plan &plan() const { return own; }
  size_t launchCount() const { return launches.size(); }
  const PlanKernel &kernel(size_t launch) const { return own.kernels[launches[launch].kernel]; }
  size_t kernelNumber(size_t launch) const { return launches[launch].kernel; }

  /// Looks at shapes, strides, dtypes and devices, not at the data.
  Result<MemorySizes> sizes(const DLTensor *const *tensors, TensorDevice device, int64_t maxLength,
                            bool isSavedGiven) const;
  /// Everything that can be wrong with the tensors and the saved memory: fills all of `numbers` but
  /// buffers' addresses and parameters.
  Status bind(const ProgramRun &run, TensorDevice device, RunNumbers &numbers) const;
  /// The caller's workspace is aligned, large enough, and apart from tensors and saved memory.
  Status checkWorkspace(const ProgramRun &run, const RunNumbers &numbers) const;
  /// Buffers' addresses and the parameters.
  Status fill(void *workspace, const ProgramRun &run, RunNumbers &numbers) const;

private:
  struct Parameter {
    ParameterType type;
    size_t memory; // Pointer: number of the argument, or arguments + number of the buffer
    CompiledExpression value;
  };
  struct Launch {
    size_t kernel;
    CompiledExpression grid;
    CompiledExpression when;
    std::vector<Parameter> parameters;
  };

  explicit PreparedPlan(Plan plan);
  Status compileExpressions();
  Status checkPreconditions(const int64_t *values) const;
  Status checkMemory(const ProgramRun &run, const char *name, const void *memory, size_t bytes,
                     size_t needed) const;
  Status checkSaved(const ProgramRun &run, const RunNumbers &numbers) const;
  void bindSaved(bool isGiven, int64_t *values) const;
  Status layOutBuffers(bool isSavedGiven, RunNumbers &numbers) const;
  Status computeGrids(RunNumbers &numbers) const;
  Status fillParameters(const Launch &launch, float scale, const RunNumbers &numbers,
                        uint64_t *values) const;
  std::string substitute(const std::string &sentence, const int64_t *values) const;

  Plan own;
  TensorBinder binder;
  std::vector<std::string> symbols;
  std::vector<CompiledExpression> preconditions;
  std::vector<CompiledExpression> buffers;
  std::vector<Launch> launches;
  size_t savedSymbol; // its number; SIZE_MAX: none
  size_t alignment;   // between buffers
};

} // namespace nysjit
