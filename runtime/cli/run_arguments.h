// What a run writes, and its arguments as the library takes them.
#pragma once
#include "runtime/cli/files.h"
#include "runtime/cli/inputs.h"
#include "runtime/gpu/saved_memory.h"

#include <list>
#include <memory>
#include <vector>

namespace nysjit::cli {

/// An output that the command line names: its row, its file and its elements.
struct RunOutput {
  const TensorRow *row;
  OutputFile file;
  Tensor tensor;
};

/// The outputs among `files`, without elements. Their folders are looked at, nothing is written.
Result<std::vector<RunOutput>> createOutputs(const TensorFiles &files);

/// The tensors of a run in this process's memory, or copied to a GPU's.
class RunArguments {
public:
  /// `gpu` null: on the CPU. Tensors and scale stay where they are meanwhile.
  static Result<std::unique_ptr<RunArguments>> create(const Inputs &inputs,
                                                      const std::vector<RunOutput> &outputs,
                                                      const float &scale, const GpuSession *gpu);
  /// Those that a program of the spec has.
  nysjit_run_args of(const KernelSpec &spec) const { return argsOf(own, spec); }
  /// Copies the outputs, those it was created with, back from a GPU.
  Status fetch(std::vector<RunOutput> &outputs) const;

private:
  RunArguments() = default;
  Status add(const TensorRow &row, const Tensor &tensor, const GpuSession *gpu);

  std::list<TensorView> views;
  std::list<std::unique_ptr<GpuTensor>> copies; // the outputs' first
  nysjit_run_args own{};
};

} // namespace nysjit::cli
