// Dtypes, strides and addresses.
#include "runtime/device/tensor_memory.h"

#include <algorithm>
#include <iterator>

namespace nysjit {

namespace {

struct DtypeRow {
  const char *name;
  DLDataType type;
};
constexpr DtypeRow dtypeTable[] = {{"float32", {kDLFloat, 32, 1}},
                                   {"float16", {kDLFloat, 16, 1}},
                                   {"bfloat16", {kDLBfloat, 16, 1}},
                                   {"int32", {kDLInt, 32, 1}}};

} // namespace

bool dtypeFromName(std::string_view name, DLDataType &type) {
  for (const DtypeRow &row : dtypeTable)
    if (name == row.name) {
      type = row.type;
      return true;
    }
  return false;
}

std::string dtypeText(DLDataType type) {
  for (const DtypeRow &row : dtypeTable)
    if (isSameDtype(row.type, type))
      return row.name;
  const char *codes[] = {"int", "uint", "float", "opaque", "bfloat", "complex"};
  std::string text =
      type.code < std::size(codes) ? codes[type.code] : "code " + std::to_string(type.code) + " ";
  text += std::to_string(type.bits);
  return type.lanes == 1 ? text : text + " with " + std::to_string(type.lanes) + " lanes";
}

std::string deviceText(int type, int id) {
  const std::string kind = type == kDLCPU    ? "CPU memory (kDLCPU)"
                           : type == kDLCUDA ? "GPU memory (kDLCUDA)"
                                             : "device type " + std::to_string(type);
  return type == kDLCPU || id < 0 ? kind : kind + " of device " + std::to_string(id);
}

bool TensorStrides::fill(const DLTensor &tensor) {
  for (int i = 0; i < tensor.ndim; ++i)
    isEmpty = isEmpty || tensor.shape[i] == 0;
  int64_t stride = 1;
  for (int i = tensor.ndim; i-- > 0;) {
    values[i] = tensor.strides ? tensor.strides[i] : stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(tensor.shape[i], 1), &stride) &&
        !tensor.strides)
      return false;
  }
  return true;
}

const DLTensor *UnpackedTensor::of(const DLTensor *tensor) {
  if (!tensor || tensor->ndim != 3 || !tensor->shape)
    return tensor;
  const int64_t *s = tensor->shape;
  int64_t compact = 0;
  if (!tensor->strides && __builtin_mul_overflow(s[1], s[2], &compact))
    return tensor;
  const int64_t row = tensor->strides ? tensor->strides[0] : compact;
  const int64_t head = tensor->strides ? tensor->strides[1] : s[2];
  const int64_t newShape[] = {1, s[1], s[0], s[2]};
  const int64_t newStrides[] = {0, head, row, tensor->strides ? tensor->strides[2] : 1};
  std::copy_n(newShape, 4, shape);
  std::copy_n(newStrides, 4, strides);
  view = *tensor;
  view.ndim = 4;
  view.shape = shape;
  view.strides = strides;
  isPacked = true;
  return &view;
}

bool addressRange(const DLTensor &tensor, const TensorStrides &strides, AddressRange &range) {
  constexpr __int128 farthest = static_cast<__int128>(1) << 64;
  __int128 low = 0;
  __int128 high = 0;
  for (int i = 0; i < tensor.ndim; ++i) {
    const __int128 reach = static_cast<__int128>(tensor.shape[i] - 1) * strides.values[i];
    if (reach > farthest || reach < -farthest)
      return false; // and the sums below stay far from an overflow
    (reach < 0 ? low : high) += reach;
  }
  const int64_t bytes = tensor.dtype.bits / 8;
  const __int128 base =
      static_cast<__int128>(reinterpret_cast<uintptr_t>(tensor.data)) + tensor.byte_offset;
  const __int128 begin = base + low * bytes;
  const __int128 end = base + (high + 1) * bytes;
  if (begin < 0 || end > static_cast<__int128>(UINT64_MAX))
    return false;
  range = {static_cast<uint64_t>(begin), static_cast<uint64_t>(end)};
  return true;
}

int64_t alignmentOf(const DLTensor &tensor, const TensorStrides &strides) {
  uint64_t bits = static_cast<uint64_t>(maxTensorAlignment);
  if (strides.isEmpty)
    return maxTensorAlignment;
  bits |= addressOf(tensor);
  for (int i = 0; i + 1 < tensor.ndim; ++i)
    if (tensor.shape[i] > 1 || i + 2 == tensor.ndim)
      bits |= static_cast<uint64_t>(strides.values[i]) * (tensor.dtype.bits / 8);
  return static_cast<int64_t>(bits & -bits); // the lowest bit that is set in any
}

} // namespace nysjit
