// Tensors by the table of tensors.
#include "runtime/tune/inputs.h"
#include "runtime/npy/half.h"
#include "runtime/reference/accuracy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace nysjit::tune {

namespace {

/// Of gradients through an iterated inverse: what rounding comes to is a matter of its condition,
/// which takes the reference; a program that is wrong is so by more.
constexpr double boundThroughInverse = 1e-2;

size_t elementsOf(const std::vector<int64_t> &extents) {
  size_t count = 1;
  for (const int64_t extent : extents)
    count *= size_t(extent);
  return count;
}

} // namespace

RunInputs::RunInputs(const KernelSpec &given, const TuneShape &sizes, uint64_t seed)
    : spec(given), shape(sizes) {
  own.size = sizeof own;
  for (const TensorRow &row : tensorTable())
    if (row.element == TensorElement::SpecDtype && usesTensor(row, spec))
      addFloats(row, seed + size_t(&row - tensorTable().data()));
  for (const TensorRow &row : tensorTable())
    if (isWrittenBy(row, spec.pass) && usesTensor(row, spec))
      written.push_back({&row, {}});
  for (RunOutput &output : written)
    addOutput(*output.row, output.numbers);
  if (spec.pass == Pass::Backward)
    addOutput(tensorRow("o"), o);
  if (!shape.sequences.empty()) {
    std::vector<int64_t> offsets = {0};
    for (const int64_t length : shape.sequences)
      offsets.push_back(offsets.back() + length);
    addIntegers("cu_seqlens", offsets);
    own.max_length = *std::ranges::max_element(shape.sequences);
  }
  if (usesTensor(tensorRow("source_len"), spec)) {
    const size_t batch = shape.sequences.empty() ? size_t(shape.batch) : shape.sequences.size();
    addIntegers("source_len", std::vector(batch, shape.sourceLen));
  }
}

/// float32.
void RunInputs::addOutput(const TensorRow &row, std::vector<float> &numbers) {
  const std::vector<int64_t> extents = shapeOf(row);
  numbers.resize(elementsOf(extents));
  own.*row.field = add(extents, {kDLFloat, 32, 1}, numbers.data());
}

std::vector<int64_t> RunInputs::shapeOf(const TensorRow &row) const {
  std::vector<int64_t> extents;
  for (const std::string_view name : dimensionNames(row, !shape.sequences.empty()))
    extents.push_back(name == "B"                      ? shape.batch
                      : name == "Hq"                   ? shape.heads
                      : name == "Hkv"                  ? shape.kvHeads
                      : name == "n" || name == "total" ? shape.length
                                                       : *specDimension(name, spec));
  return extents;
}

DLTensor *RunInputs::add(std::vector<int64_t> extents, DLDataType type, void *data) {
  Tensor &tensor = tensors.emplace_back();
  tensor.shape = std::move(extents);
  tensor.view.data = data;
  tensor.view.device = {kDLCPU, 0};
  tensor.view.ndim = int32_t(tensor.shape.size());
  tensor.view.dtype = type;
  tensor.view.shape = tensor.shape.data();
  return &tensor.view;
}

void RunInputs::addFloats(const TensorRow &row, uint64_t seed) {
  std::vector<int64_t> extents = shapeOf(row);
  const size_t count = elementsOf(extents);
  const size_t rowLength = size_t(extents.back());
  double squares = 0; // of this row so far
  double largest = 0;
  double all = 0;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const size_t size = spec.dtype == DType::Float32 ? 4 : 2;
  std::vector<char> bytes(count * size);
  for (size_t i = 0; i < count; ++i) {
    float value = normal(random);
    if (spec.dtype == DType::Float32) {
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    } else {
      const bool isFloat16 = spec.dtype == DType::Float16;
      const uint16_t bits = isFloat16 ? floatToFloat16(value) : floatToBfloat16(value);
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
      value = isFloat16 ? float16ToFloat(bits) : bfloat16ToFloat(bits);
    }
    squares = (i % rowLength == 0 ? 0 : squares) + double(value) * double(value);
    largest = std::max(largest, squares);
    all += double(value) * double(value);
  }
  norms[row.name] = std::sqrt(largest);
  if (&row == &tensorRow("dout"))
    doutNorm = std::sqrt(all);
  const DLDataType type = {uint8_t(spec.dtype == DType::BFloat16 ? kDLBfloat : kDLFloat),
                           uint8_t(8 * size), 1};
  own.*row.field = add(std::move(extents), type, nullptr);
  tensors.back().bytes = std::move(bytes);
  tensors.back().view.data = tensors.back().bytes.data();
}

void RunInputs::addIntegers(const char *name, const std::vector<int64_t> &numbers) {
  std::vector<char> bytes(4 * numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto value = int32_t(numbers[i]);
    std::memcpy(bytes.data() + 4 * i, &value, 4);
  }
  own.*tensorRow(name).field = add({int64_t(numbers.size())}, {kDLInt, 32, 1}, nullptr);
  tensors.back().bytes = std::move(bytes);
  tensors.back().view.data = tensors.back().bytes.data();
}

void RunInputs::clearOutputs() {
  for (RunOutput &output : written)
    std::ranges::fill(output.numbers, std::numeric_limits<float>::quiet_NaN());
}

Difference RunInputs::difference(const std::vector<RunOutput> &found,
                                 const std::vector<RunOutput> &right, bool isGpu) const {
  const auto longest = [&](const char *rows, const char *landmarks) {
    const auto other = norms.find(landmarks);
    return std::max(norms.at(rows), other == norms.end() ? 0 : other->second);
  };
  // Landmarks that are means of rows are no longer than those.
  const double size =
      longest("q", "landmark_q") * longest("k", "landmark_k") / std::sqrt(double(spec.headDim));
  const bool isBackward = spec.pass == Pass::Backward;
  Difference difference{.error = 0,
                        .bound = 2 * (isBackward ? reference::gradientBound(spec, isGpu, size)
                                                 : reference::errorBound(spec, isGpu, size))};
  if (isBackward && iteratesInverse(spec.layout))
    difference.bound = std::max(difference.bound, boundThroughInverse);
  for (size_t i = 0; i < found.size(); ++i) {
    const double error =
        isBackward ? reference::gradientError(found[i].numbers, right[i].numbers, doutNorm)
                   : reference::relativeError(found[i].numbers, right[i].numbers);
    if (!(error <= difference.error)) // or is not a number, as which it stays
      difference.error = error;
    if (std::isnan(error))
      break;
  }
  return difference;
}

} // namespace nysjit::tune
