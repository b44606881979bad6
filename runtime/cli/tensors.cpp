// Loading, rounding and viewing a tensor.
#include "runtime/cli/tensors.h"
#include "runtime/cli/options.h"
#include "runtime/npy/half.h"
#include "runtime/npy/npy.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <unistd.h>

namespace nysjit::cli {

namespace {

DLDataType typeOf(DType dtype) {
  const uint8_t bits = dtype == DType::Float32 ? 32 : 16;
  return {uint8_t(dtype == DType::BFloat16 ? kDLBfloat : kDLFloat), bits, 1};
}

size_t elementSize(DLDataType type) { return type.bits / 8; }

/// A double as a float whose last bit is 1 if it is not exact ("round to odd"): rounding that again
/// to 16 bits gives what rounding the double itself would.
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

/// Reads a .npy file; its error under the flag's name.
Result<NpyArray> loadArray(const std::string &flag, const std::string &path) {
  Result<NpyArray> array =
      path == standardInput ? readNpy(STDIN_FILENO, "standard input") : readNpy(path);
  if (array)
    return array;
  Error error = array.takeError();
  error.where = flag;
  error.message = flag + ": " + error.message;
  return error;
}

} // namespace

Error shapeError(const std::string &flag, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidShape, flag, std::move(expected), std::move(found));
}

Result<Tensor> loadTensor(const std::string &flag, const std::string &path, DType dtype) {
  Result<NpyArray> array = loadArray(flag, path);
  NYSJIT_RETURN_IF_ERROR(array);
  const bool isBfloat16 = array->dtype == dtypeName(DType::BFloat16); // two bytes of no type
  if (!array->isFloating() || (isBfloat16 && dtype != DType::BFloat16))
    return shapeError(flag,
                      "dtype float16, float32 or float64, or bfloat16 where that is the spec's",
                      array->dtype + (isBfloat16 ? " (V2)" : ""));
  if (array->dtype == dtypeName(dtype))
    return Tensor{std::move(array->shape), typeOf(dtype), std::move(array->bytes)};
  std::vector<double> values = array->toDouble();
  Tensor tensor = Tensor::zeros(std::move(array->shape), dtype);
  for (size_t i = 0; i < values.size(); ++i)
    storeRounded(tensor.bytes, i, dtype, values[i]);
  return tensor;
}

Result<std::vector<int64_t>> loadIntegers(const std::string &flag, const std::string &path,
                                          int64_t count) {
  Result<NpyArray> array = loadArray(flag, path);
  NYSJIT_RETURN_IF_ERROR(array);
  if (array->isFloating())
    return shapeError(flag, "dtype int32 or int64", array->dtype);
  if (array->shape.size() != 1 || (count < 0 ? array->shape[0] < 1 : array->shape[0] != count))
    return shapeError(
        flag, count < 0 ? "shape [B + 1]" : "shape [" + std::to_string(count) + "], one a sequence",
        shapeText(array->shape));
  return array->toInt64();
}

Tensor Tensor::zeros(std::vector<int64_t> shape, DType dtype) {
  Tensor tensor{std::move(shape), typeOf(dtype), ""};
  tensor.bytes.resize(size_t(tensor.count()) * elementSize(tensor.type));
  return tensor;
}

Tensor Tensor::integers(const std::vector<int64_t> &values) {
  Tensor tensor{{int64_t(values.size())}, {kDLInt, 32, 1}, std::string(4 * values.size(), '\0')};
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = int32_t(values[i]);
    std::memcpy(tensor.bytes.data() + 4 * i, &value, 4);
  }
  return tensor;
}

int64_t Tensor::count() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::vector<float> Tensor::toFloats() const {
  std::vector<float> values(static_cast<size_t>(count()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type.bits == 32) {
      std::memcpy(&values[i], bytes.data() + 4 * i, 4);
      continue;
    }
    uint16_t bits;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = type.code == kDLFloat ? float16ToFloat(bits) : bfloat16ToFloat(bits);
  }
  return values;
}

std::vector<double> Tensor::toDoubles() const {
  const std::vector<float> values = toFloats();
  return {values.begin(), values.end()};
}

TensorView::TensorView(const Tensor &tensor) : shape(tensor.shape) {
  view.data = const_cast<char *>(tensor.bytes.data());
  view.device = {kDLCPU, 0};
  view.ndim = int32_t(shape.size());
  view.dtype = tensor.type;
  view.shape = shape.data();
}

std::string npyFile(const Tensor &tensor) {
  const DType dtype = tensor.type.bits == 32          ? DType::Float32
                      : tensor.type.code == kDLBfloat ? DType::BFloat16
                                                      : DType::Float16;
  return formatNpy({dtypeName(dtype), tensor.shape, tensor.bytes});
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace nysjit::cli
