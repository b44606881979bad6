// Tensors of a run at a shape: random numbers of the spec's dtype, made from a seed.
#pragma once
#include "runtime/include/nysjit.h"
#include "runtime/spec/tensor_table.h"
#include "runtime/tune/tune_file.h"

#include <dlpack/dlpack.h>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace nysjit::tune {

/// Owns the tensors that its arguments point at.
class RunInputs {
public:
  RunInputs(const KernelSpec &spec, const TuneShape &shape, uint64_t seed);
  RunInputs(const RunInputs &) = delete;
  RunInputs &operator=(const RunInputs &) = delete;

  const nysjit_run_args &args() const { return own; }
  /// What the last run wrote.
  const std::vector<float> &output() const { return o; }
  /// The output's elements, to be written by a run or from a device's memory.
  std::vector<float> &output() { return o; }
  /// Nothing of an earlier run is left in the output: NaN.
  void clearOutput();
  /// How far a program's output may be from the exact one (reference/accuracy.h). The scores' size
  /// is not computed but bounded, by Cauchy and Schwarz.
  double errorBound(bool isGpu) const;

private:
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<char> bytes;
    DLTensor view{};
  };
  DLTensor *add(std::vector<int64_t> shape, DLDataType type, void *data);
  void addFloats(const TensorRow &row, uint64_t seed);
  void addIntegers(const char *name, const std::vector<int64_t> &values);
  std::vector<int64_t> shapeOf(const TensorRow &row) const;

  const KernelSpec spec;
  const TuneShape shape;
  std::list<Tensor> tensors;
  std::map<std::string, double> norms; // of the floating inputs, their longest row's
  std::vector<float> o;
  nysjit_run_args own{};
};

} // namespace nysjit::tune
