// The longest sequence, and in host memory whether each lies in the tensors' rows.
#include "runtime/device/tensors.h"

#include <algorithm>
#include <cstring>

namespace nysjit {

namespace {

/// A vector of int32 in host memory, or nothing.
struct HostIntegers {
  const std::string *name = nullptr; // the argument's
  const DLTensor *tensor = nullptr;
  int64_t count() const { return tensor->shape[0]; }
  int64_t operator[](int64_t i) const {
    int32_t value = 0; // dense, which the plan asks for; its address may not be checked yet
    std::memcpy(&value,
                static_cast<const char *>(tensor->data) + tensor->byte_offset +
                    i * int64_t(sizeof value),
                sizeof value);
    return value;
  }
  explicit operator bool() const { return tensor; }
};

Error valueError(const HostIntegers &of, int64_t index, const std::string &expected) {
  return Error::mismatch(ErrorKind::InvalidShape, *of.name + "[" + std::to_string(index) + "]",
                         expected, std::to_string(of[index]));
}

/// How far a sequence may reach: the rows there are, and the most of them one may have.
struct Limits {
  int64_t rows;
  int64_t most;
  const char *said; // " (max_length)" where the caller set `most`
};

Status checkOffsets(const HostIntegers &offsets, const Limits &limits, int64_t &longest) {
  for (int64_t i = 0; i < offsets.count(); ++i) {
    const int64_t least = i ? offsets[i - 1] : 0;
    if (offsets[i] < least || offsets[i] > limits.rows)
      return valueError(offsets, i, std::to_string(least) + " to " + std::to_string(limits.rows));
    if (i && offsets[i] - least > limits.most)
      return valueError(offsets, i,
                        "at most " + std::to_string(least + limits.most) + ", " +
                            std::to_string(limits.most) + limits.said + " after the one before");
    longest = i ? std::max(longest, offsets[i] - least) : 0;
  }
  return {};
}

/// `starts` may be nothing: then all are 0.
Status checkLengths(const HostIntegers &lengths, const HostIntegers &starts, const Limits &limits,
                    int64_t &longest) {
  for (int64_t i = 0; i < lengths.count(); ++i) {
    if (lengths[i] < 0 || lengths[i] > limits.most)
      return valueError(lengths, i, "0 to " + std::to_string(limits.most) + limits.said);
    const int64_t last = limits.rows - lengths[i];
    if (starts && i < starts.count() && (starts[i] < 0 || starts[i] > last))
      return valueError(starts, i,
                        "0 to " + std::to_string(last) + ", with a length of " +
                            std::to_string(lengths[i]));
    longest = std::max(longest, lengths[i]);
  }
  return {};
}

/// `lengthOf(i)`: what is known of sequence i's length.
template <typename LengthOf> Status checkSources(const HostIntegers &sources, LengthOf lengthOf) {
  for (int64_t i = 0; i < sources.count(); ++i)
    if (const int64_t length = lengthOf(i); sources[i] < 0 || sources[i] > length)
      return valueError(sources, i, "0 to its sequence's length, " + std::to_string(length));
  return {};
}

} // namespace

Status TensorBinder::bindSequences(const DLTensor *const *tensors, TensorDevice device,
                                   int64_t maxLength, int64_t *values) const {
  const int64_t rows = values[sequences.rows];
  const auto isGiven = [&](size_t argument) {
    return argument != SIZE_MAX && tensors[argument] && tensors[argument]->shape[0] > 0;
  };
  const auto hostValues = [&](size_t argument) {
    if (!isGiven(argument) || device.type != kDLCPU || !tensors[argument]->data)
      return HostIntegers{};
    return HostIntegers{&arguments[argument].name, tensors[argument]};
  };
  const bool isVariable = isGiven(sequences.offsets) || isGiven(sequences.lengths);
  if (maxLength < 0 || (maxLength > 0 && !isVariable))
    return Error::mismatch(ErrorKind::InvalidArgument, "max_length",
                           isVariable ? "at least 0" : "0 for sequences of one length",
                           std::to_string(maxLength));
  const Limits limits = {rows, maxLength > 0 ? std::min(maxLength, rows) : rows,
                         maxLength > 0 ? " (max_length)" : ""};
  values[sequences.maxLength] = isVariable ? limits.most : rows;

  const HostIntegers offsets = hostValues(sequences.offsets);
  const HostIntegers lengths = hostValues(sequences.lengths);
  int64_t longest = 0;
  if (offsets)
    NYSJIT_RETURN_IF_ERROR(checkOffsets(offsets, limits, longest));
  if (lengths)
    NYSJIT_RETURN_IF_ERROR(checkLengths(lengths, hostValues(sequences.starts), limits, longest));
  const auto lengthOf = [&](int64_t i) -> int64_t {
    if (offsets)
      return i + 1 < offsets.count() ? offsets[i + 1] - offsets[i] : rows;
    return lengths && i < lengths.count() ? lengths[i] : rows;
  };
  if (const HostIntegers sources = hostValues(sequences.sourceLengths))
    NYSJIT_RETURN_IF_ERROR(checkSources(sources, lengthOf));
  if (isVariable && maxLength == 0 && (offsets || lengths))
    values[sequences.maxLength] = longest;
  return {};
}

} // namespace nysjit
