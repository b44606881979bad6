// Tensors of a run at a shape: random numbers of the spec's dtype, made from a seed, and what is
// written.
#pragma once
#include "runtime/include/nysjit.h"
#include "runtime/spec/tensor_table.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/tune_file.h"

#include <dlpack/dlpack.h>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace nysjit::tune {

/// What a program of the spec writes: o, or the gradients.
struct RunOutput {
  const TensorRow *row;
  std::vector<float> numbers;
};

/// Owns the tensors that its arguments point at.
class RunInputs {
public:
  RunInputs(const KernelSpec &spec, const TuneShape &shape, uint64_t seed);
  RunInputs(const RunInputs &) = delete;
  RunInputs &operator=(const RunInputs &) = delete;

  /// A backward spec's have the output, too, which its forward writes.
  const nysjit_run_args &args() const { return own; }
  /// What the last run wrote; to be written by a run or from a device's memory.
  std::vector<RunOutput> &outputs() { return written; }
  /// Nothing of an earlier run is left in the outputs: NaN.
  void clearOutputs();
  /// How far two programs' outputs are apart, as far as either may be from the exact one to its
  /// side (reference/accuracy.h); of several outputs, those that are farthest. The scores' size is
  /// not computed but bounded, by Cauchy and Schwarz.
  Difference difference(const std::vector<RunOutput> &found, const std::vector<RunOutput> &right,
                        bool isGpu) const;

private:
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<char> bytes;
    DLTensor view{};
  };
  DLTensor *add(std::vector<int64_t> shape, DLDataType type, void *data);
  void addFloats(const TensorRow &row, uint64_t seed);
  void addOutput(const TensorRow &row, std::vector<float> &numbers);
  void addIntegers(const char *name, const std::vector<int64_t> &values);
  std::vector<int64_t> shapeOf(const TensorRow &row) const;

  const KernelSpec spec;
  const TuneShape shape;
  std::list<Tensor> tensors;
  std::map<std::string, double> norms; // of the floating inputs, their longest row's
  double doutNorm = 0;                 // of all of it
  std::vector<RunOutput> written;
  std::vector<float> o; // of a backward spec's forward
  nysjit_run_args own{};
};

} // namespace nysjit::tune
