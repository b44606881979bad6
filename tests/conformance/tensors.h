// Tensors of a run: numbers in memory as the spec's dtype, a shape and strides have them.
#pragma once
#include "runtime/include/nysjit.h"
#include "runtime/npy/half.h"

#include <cstring>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// A tensor's numbers as the spec's dtype holds them, with its shape and strides in elements.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::string dtype = "float32";
  std::vector<char> bytes;

  DLTensor view() {
    const uint8_t bits = dtype == "float32" || dtype == "int32" ? 32 : 16;
    const DLDataTypeCode code = dtype == "int32"      ? kDLInt
                                : dtype == "bfloat16" ? kDLBfloat
                                                      : kDLFloat;
    return {bytes.data(),
            {kDLCPU, 0},
            static_cast<int>(shape.size()),
            {static_cast<uint8_t>(code), bits, 1},
            shape.data(),
            strides.data(),
            0};
  }
};

inline double rounded(double value, const std::string &dtype) {
  const float single = static_cast<float>(value);
  return dtype == "float32"   ? single
         : dtype == "float16" ? float16ToFloat(floatToFloat16(single))
                              : bfloat16ToFloat(floatToBfloat16(single));
}

/// The offset of each element in row-major order.
inline std::vector<size_t> offsetsOf(const Tensor &tensor) {
  std::vector<size_t> offsets{0};
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    std::vector<size_t> longer;
    for (size_t offset : offsets)
      for (int64_t j = 0; j < tensor.shape[i]; ++j)
        longer.push_back(offset + static_cast<size_t>(j * tensor.strides[i]));
    offsets = std::move(longer);
  }
  return offsets;
}

/// Row-major numbers as a tensor; `swapHeads` lays [B, H, n, d] out as [B, n, H, d], as most
/// frameworks have it, and packed [n, H, d] as [H, n, d]; `padding` elements lie between rows,
/// NaNs.
inline Tensor makeTensor(const std::vector<double> &values, const std::vector<int64_t> &shape,
                         const std::string &dtype, bool swapHeads = false, int64_t padding = 0) {
  Tensor tensor{shape, std::vector<int64_t>(shape.size(), 1), dtype, {}};
  int64_t stride = shape.back() + padding;
  for (size_t i = shape.size() - 1; i-- > 0; stride *= shape[i])
    tensor.strides[i] = stride;
  if (swapHeads && shape.size() == 4) {
    tensor.strides[1] = tensor.strides[2];
    tensor.strides[2] = shape[1] * tensor.strides[1];
  } else if (swapHeads && shape.size() == 3) {
    tensor.strides[0] = tensor.strides[1];
    tensor.strides[1] = shape[0] * tensor.strides[0];
  }
  const size_t width = dtype == "float32" ? 4 : 2;
  tensor.bytes.resize(static_cast<size_t>(stride) * width, char(0xff));
  size_t index = 0;
  for (size_t offset : offsetsOf(tensor)) {
    const float single = static_cast<float>(values[index++]);
    const uint16_t half = dtype == "float16" ? floatToFloat16(single) : floatToBfloat16(single);
    std::memcpy(tensor.bytes.data() + offset * width,
                width == 4 ? static_cast<const void *>(&single) : &half, width);
  }
  return tensor;
}

/// Numbers of sequences, int32.
inline Tensor makeIntegers(const std::vector<int64_t> &values) {
  Tensor tensor{
      {static_cast<int64_t>(values.size())}, {1}, "int32", std::vector<char>(values.size() * 4)};
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<int32_t>(values[i]);
    std::memcpy(tensor.bytes.data() + 4 * i, &value, 4);
  }
  return tensor;
}

/// Back to row-major numbers.
inline std::vector<double> numbersOf(const Tensor &tensor) {
  std::vector<double> values;
  for (size_t at : offsetsOf(tensor)) {
    if (tensor.dtype == "float32") {
      values.push_back(reinterpret_cast<const float *>(tensor.bytes.data())[at]);
    } else {
      const uint16_t half = reinterpret_cast<const uint16_t *>(tensor.bytes.data())[at];
      values.push_back(tensor.dtype == "float16" ? float16ToFloat(half) : bfloat16ToFloat(half));
    }
  }
  return values;
}

} // namespace nysjit::conformance
