// Loading, checking and viewing the tensors of a run.
#include "runtime/cli/tensors.h"
#include "runtime/npy/half.h"
#include "runtime/npy/npy.h"
#include "runtime/reference/reference.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>

namespace nysjit::cli {

namespace {

Error shapeError(const char *flag, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidShape, flag, std::move(expected), std::move(found));
}

size_t elementSize(DType dtype) { return dtype == DType::Float32 ? 4 : 2; }

/// A double as a float whose last bit is 1 if it is not exact ("round to odd"): rounding that again to 16 bits gives
/// what rounding the double itself would.
float floatToRoundAgain(double value) {
  float nearest = float(value);
  if (double(nearest) == value || std::isnan(value))
    return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  bits -= std::abs(double(nearest)) > std::abs(value); // the float next to it towards zero
  return std::bit_cast<float>(bits | 1);
}

void storeRounded(std::string &bytes, size_t index, DType dtype, double value) {
  if (dtype == DType::Float32) {
    float rounded = float(value);
    std::memcpy(bytes.data() + 4 * index, &rounded, 4);
    return;
  }
  float exact = floatToRoundAgain(value);
  uint16_t rounded = dtype == DType::Float16 ? floatToFloat16(exact) : floatToBfloat16(exact);
  std::memcpy(bytes.data() + 2 * index, &rounded, 2);
}

/// Reads a .npy file and rounds it to the dtype.
Result<Tensor> loadTensor(const char *flag, const std::string &path, DType dtype) {
  Result<NpyArray> array = readNpy(path);
  if (!array) {
    Error error = array.takeError();
    error.where = flag;
    error.message = std::string(flag) + ": " + error.message;
    return error;
  }
  if (!array->isFloating())
    return shapeError(flag, "dtype float16, float32 or float64", array->dtype);
  if (array->dtype == dtypeName(dtype))
    return Tensor{std::move(array->shape), dtype, std::move(array->bytes)};
  std::vector<double> values = array->toDouble();
  Tensor tensor{std::move(array->shape), dtype, std::string(values.size() * elementSize(dtype), '\0')};
  for (size_t i = 0; i < values.size(); ++i)
    storeRounded(tensor.bytes, i, dtype, values[i]);
  return tensor;
}

/// q is [B, Hq, n, d] and k and v are [B, Hkv, n, d], Hkv dividing Hq.
Result<Extents> checkShapes(const KernelSpec &spec, const Inputs &inputs) {
  const std::vector<int64_t> &q = inputs.q.shape, &k = inputs.k.shape, &v = inputs.v.shape;
  if (q.size() != 4 || q[3] != spec.headDim)
    return shapeError("--q", "shape [B, Hq, n, " + std::to_string(spec.headDim) + "]", shapeText(q));
  bool fits = k.size() == 4 && k[0] == q[0] && k[2] == q[2] && k[3] == q[3];
  if (!fits || k[1] < 1 || q[1] % k[1] != 0) {
    std::string expected = "shape [" + std::to_string(q[0]) + ", Hkv, " + std::to_string(q[2]) + ", " +
                           std::to_string(q[3]) + "], where Hkv divides the " + std::to_string(q[1]) + " heads of --q";
    return shapeError("--k", expected, shapeText(k));
  }
  if (v != k)
    return shapeError("--v", "shape " + shapeText(k) + ", as --k", shapeText(v));
  return Extents{q[0], q[1], k[1], q[2], q[3]};
}

} // namespace

Tensor Tensor::zeros(std::vector<int64_t> shape, DType dtype) {
  Tensor tensor{std::move(shape), dtype, ""};
  tensor.bytes.resize(size_t(tensor.count()) * elementSize(dtype));
  return tensor;
}

int64_t Tensor::count() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::span<const float> Tensor::floats() const {
  return {reinterpret_cast<const float *>(bytes.data()), size_t(count())};
}

std::vector<double> Tensor::toDoubles() const {
  std::vector<double> values(static_cast<size_t>(count()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::Float32) {
      values[i] = floats()[i];
      continue;
    }
    uint16_t bits;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = dtype == DType::Float16 ? float16ToFloat(bits) : bfloat16ToFloat(bits);
  }
  return values;
}

TensorView::TensorView(const Tensor &tensor) : shape(tensor.shape) {
  view.data = const_cast<char *>(tensor.bytes.data());
  view.device = {kDLCPU, 0};
  view.ndim = int32_t(shape.size());
  view.dtype = {uint8_t(tensor.dtype == DType::BFloat16 ? kDLBfloat : kDLFloat), uint8_t(8 * elementSize(tensor.dtype)),
                1};
  view.shape = shape.data();
}

TensorView::TensorView(const Tensor &tensor, uint64_t gpuAddress) : TensorView(tensor) {
  view.data = reinterpret_cast<void *>(gpuAddress);
  view.device = {kDLCUDA, 0};
}

Result<Inputs> loadInputs(const KernelSpec &spec, const std::string &q, const std::string &k, const std::string &v) {
  Inputs inputs;
  const std::tuple<const char *, const std::string &, Tensor &> files[] = {
      {"--q", q, inputs.q}, {"--k", k, inputs.k}, {"--v", v, inputs.v}};
  for (const auto &[flag, path, tensor] : files) {
    Result<Tensor> loaded = loadTensor(flag, path, spec.dtype);
    NYSJIT_RETURN_IF_ERROR(loaded);
    tensor = std::move(*loaded);
  }
  Result<Extents> extents = checkShapes(spec, inputs);
  NYSJIT_RETURN_IF_ERROR(extents);
  inputs.extents = *extents;
  return inputs;
}

Result<std::vector<double>> referenceOutput(const KernelSpec &spec, const Extents &extents,
                                            const std::vector<double> &q, const std::vector<double> &k,
                                            const std::vector<double> &v, double scale) {
  reference::ReferenceInput input;
  input.spec = spec;
  input.scale = scale;
  input.batch = extents.batch;
  input.queryHeads = extents.queryHeads;
  input.keyHeads = extents.keyHeads;
  input.length = extents.length;
  input.q = q.data();
  input.k = k.data();
  input.v = v.data();
  return reference::compute(input);
}

std::string npyFile(const Tensor &tensor) { return formatNpy({dtypeName(tensor.dtype), tensor.shape, tensor.bytes}); }

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace nysjit::cli
