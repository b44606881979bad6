// The tensors of a run: .npy files rounded to the spec's dtype, row-major and compact, and as the C API takes them.
#pragma once
#include "runtime/cli/check.h"
#include "runtime/spec/spec.h"

#include <dlpack/dlpack.h>

#include <span>
#include <string>
#include <vector>

namespace nysjit::cli {

struct Tensor {
  std::vector<int64_t> shape;
  DType dtype = DType::Float32;
  std::string bytes; // row-major and compact

  static Tensor zeros(std::vector<int64_t> shape, DType dtype);
  int64_t count() const;
  /// The elements; the dtype must be float32.
  std::span<const float> floats() const;
  std::vector<double> toDoubles() const;
};

/// A Tensor as a DLTensor. The tensor stays where it is meanwhile.
class TensorView {
public:
  explicit TensorView(const Tensor &tensor);
  /// The same tensor in memory of the first GPU.
  TensorView(const Tensor &tensor, uint64_t gpuAddress);
  TensorView(const TensorView &) = delete;
  TensorView &operator=(const TensorView &) = delete;
  const DLTensor *get() const { return &view; }

private:
  std::vector<int64_t> shape;
  DLTensor view{};
};

struct Inputs {
  Tensor q, k, v;
  Extents extents;
};

/// Reads the three files and checks that their shapes fit the spec and each other. Errors name the flag.
Result<Inputs> loadInputs(const KernelSpec &spec, const std::string &q, const std::string &k, const std::string &v);

/// The float64 reference's output on these inputs, in q's shape.
Result<std::vector<double>> referenceOutput(const KernelSpec &spec, const Extents &extents,
                                            const std::vector<double> &q, const std::vector<double> &k,
                                            const std::vector<double> &v, double scale);

/// A float32 tensor as a .npy file's bytes.
std::string npyFile(const Tensor &tensor);

/// "[1, 12, 512, 64]"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace nysjit::cli
