// Single tensors of a run: .npy files, rounded to the spec's dtype, row-major and compact, and as
// the C API takes them.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

#include <dlpack/dlpack.h>

#include <string>
#include <vector>

namespace nysjit::cli {

struct Tensor {
  std::vector<int64_t> shape;
  DLDataType type{kDLFloat, 32, 1}; // of a spec's dtype, or int32
  std::string bytes;                // row-major and compact

  static Tensor zeros(std::vector<int64_t> shape, DType dtype);
  static Tensor integers(const std::vector<int64_t> &values);
  int64_t count() const;
  /// The elements, which no type here rounds; it must be a floating one.
  std::vector<float> toFloats() const;
  std::vector<double> toDoubles() const;
};

/// A Tensor as a DLTensor. The tensor stays where it is meanwhile.
class TensorView {
public:
  explicit TensorView(const Tensor &tensor);
  TensorView(const TensorView &) = delete;
  TensorView &operator=(const TensorView &) = delete;
  const DLTensor *get() const { return &view; }

private:
  std::vector<int64_t> shape;
  DLTensor view{};
};

/// Reads a .npy file of floats, "-" being standard input, and rounds it to the dtype. Errors name
/// the flag, here and below.
Result<Tensor> loadTensor(const std::string &flag, const std::string &path, DType dtype);
/// Reads a .npy file of int32 or int64, [count], or with `count` -1 of any number of them but none.
Result<std::vector<int64_t>> loadIntegers(const std::string &flag, const std::string &path,
                                          int64_t count);

Error shapeError(const std::string &flag, std::string expected, std::string found);

/// A floating tensor as a .npy file's bytes.
std::string npyFile(const Tensor &tensor);

/// "[1, 12, 512, 64]"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace nysjit::cli
