// First which files there must be, then shapes, then the sequences' numbers; all that concerns one
// tensor is read off its row of the table of tensors.
#include "runtime/cli/inputs.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/lengths.h"

#include <algorithm>
#include <functional>

namespace nysjit::cli {

namespace {

/// "--seqlens[2]"
std::string element(const char *flag, size_t index) {
  return std::string(flag) + "[" + std::to_string(index) + "]";
}

/// A tensor is there exactly where the spec has a use for it, or may be.
Status checkPresence(const KernelSpec &spec, const TensorFiles &files) {
  for (const TensorRow &row : tensorTable()) {
    if (!row.flag)
      continue;
    const auto path = files.find(row.name);
    const bool isUsed = usesTensor(row, spec);
    const char *what = isOutput(row) ? "a file to write" : "a .npy file";
    if (isUsed && !isOptional(row) && path == files.end())
      return Error::mismatch(ErrorKind::InvalidArgument, row.flag,
                             std::string(what) + " with " + tensorReason(row, spec),
                             "no such flag");
    if (!isUsed && path != files.end())
      return Error::mismatch(ErrorKind::InvalidArgument, row.flag,
                             "no such flag with " + tensorReason(row, spec),
                             '"' + describeName(path->second) + '"');
  }
  return {};
}

/// The first tensor of the table that binds all of the row's shape, null if the row does itself.
const TensorRow *sameShapeBefore(const TensorRow &row) {
  for (const TensorRow &before : tensorTable())
    if (std::ranges::equal(before.shape, row.shape, std::equal_to<std::string_view>()) &&
        before.isPackable == row.isPackable)
      return before.name == row.name ? nullptr : &before;
  return nullptr;
}

/// "shape [2, Hkv, 16, 64], where ...": what is known of the dimensions as numbers, the rest by
/// name.
std::string expectedShape(const TensorRow &row, const Inputs &inputs) {
  std::string text;
  bool isKnown = true;
  bool bindsKeyHeads = false;
  for (const std::string_view name : dimensionNames(row, inputs.isPacked)) {
    const auto known = inputs.dimensions.find(name);
    const bool isNumber = known != inputs.dimensions.end();
    text +=
        (text.empty() ? "" : ", ") + (isNumber ? std::to_string(known->second) : std::string(name));
    isKnown = isKnown && isNumber;
    bindsKeyHeads = bindsKeyHeads || (!isNumber && name == "Hkv");
  }
  text = "shape [" + text + "]";
  if (bindsKeyHeads)
    return text + ", where Hkv divides the " + std::to_string(inputs.dimensions.at("Hq")) +
           " heads of " + tensorRow("q").flag;
  if (!isKnown)
    return text + (inputs.isPacked ? std::string(", with ") + tensorRow("cu_seqlens").flag : "");
  const TensorRow *before = sameShapeBefore(row);
  return before ? text + ", as " + before->flag : text;
}

/// The tensor's dimensions are those that are known; the others it binds.
Status bindShape(const TensorRow &row, Inputs &inputs) {
  const std::vector<int64_t> &shape = inputs.at(row.name).shape;
  const std::vector<std::string_view> names = dimensionNames(row, inputs.isPacked);
  bool fits = shape.size() == names.size();
  for (size_t i = 0; fits && i < names.size(); ++i) {
    const auto known = inputs.dimensions.find(names[i]);
    if (known != inputs.dimensions.end())
      fits = known->second == shape[i];
    else if (names[i] == "Hkv") // key/value heads each serve as many query heads
      fits = shape[i] >= 1 && inputs.dimensions.at("Hq") % shape[i] == 0;
  }
  if (!fits)
    return shapeError(row.flag, expectedShape(row, inputs), shapeText(shape));
  for (size_t i = 0; i < names.size(); ++i)
    inputs.dimensions.emplace(names[i], shape[i]);
  return {};
}

/// The floating inputs: those that every run has first, for they bind the dimensions.
Status loadFloats(const KernelSpec &spec, const TensorFiles &files, Inputs &inputs) {
  std::vector<const TensorRow *> always;
  std::vector<const TensorRow *> others;
  for (const TensorRow &row : tensorTable())
    if (row.flag && row.element == TensorElement::SpecDtype && !isOutput(row) &&
        files.contains(row.name))
      (isAlwaysNeeded(row) ? always : others).push_back(&row);
  const auto load = [&](const TensorRow &row) -> Status {
    Result<Tensor> loaded = loadTensor(row.flag, files.find(row.name)->second, spec.dtype);
    NYSJIT_RETURN_IF_ERROR(loaded);
    inputs.tensors.emplace(row.name, std::move(*loaded));
    return {};
  };
  for (const char *name : {"d", "m", "c"})
    inputs.dimensions.emplace(name, *specDimension(name, spec));
  for (const TensorRow *row : always)
    NYSJIT_RETURN_IF_ERROR(load(*row));
  for (const TensorRow *row : always)
    NYSJIT_RETURN_IF_ERROR(bindShape(*row, inputs));
  for (const TensorRow *row : others) {
    NYSJIT_RETURN_IF_ERROR(load(*row));
    NYSJIT_RETURN_IF_ERROR(bindShape(*row, inputs));
  }
  inputs.length = inputs.dimensions.at(inputs.isPacked ? "total" : "n");
  return {};
}

/// How long sequences may be: "12", or what --max-length says.
struct LengthLimit {
  int64_t most;
  const char *said; // " (--max-length)" where that is less than the rows there are
};
LengthLimit limitOf(const Inputs &inputs) {
  const bool isSaid = inputs.maxLength > 0 && inputs.maxLength < inputs.length;
  return {isSaid ? inputs.maxLength : inputs.length, isSaid ? " (--max-length)" : ""};
}

/// Sequences one after the other: ends of each, ascending, within the rows.
Status readOffsets(const std::string &path, Inputs &inputs) {
  const char *flag = tensorRow("cu_seqlens").flag;
  Result<std::vector<int64_t>> offsets = loadIntegers(flag, path, -1);
  NYSJIT_RETURN_IF_ERROR(offsets);
  for (size_t i = 0; i < offsets->size(); ++i) {
    const int64_t least = i ? (*offsets)[i - 1] : 0;
    const int64_t offset = (*offsets)[i];
    if (offset < least || offset > inputs.length)
      return shapeError(element(flag, i),
                        std::to_string(least) + " to " + std::to_string(inputs.length),
                        std::to_string(offset));
    if (const LengthLimit limit = limitOf(inputs); i && offset - least > limit.most)
      return shapeError(element(flag, i),
                        "at most " + std::to_string(least + limit.most) + ", " +
                            std::to_string(limit.most) + limit.said + " after the one before",
                        std::to_string(offset));
    if (i) {
      inputs.starts.push_back(least);
      inputs.lengths.push_back(offset - least);
    }
  }
  inputs.tensors.emplace("cu_seqlens", Tensor::integers(*offsets));
  return {};
}

/// Each sequence has so many rows of its own.
Status readLengths(const std::string &path, int64_t batch, Inputs &inputs) {
  const char *flag = tensorRow("seqlens").flag;
  Result<std::vector<int64_t>> lengths = loadIntegers(flag, path, batch);
  NYSJIT_RETURN_IF_ERROR(lengths);
  const LengthLimit limit = limitOf(inputs);
  for (size_t b = 0; b < lengths->size(); ++b)
    if ((*lengths)[b] < 0 || (*lengths)[b] > limit.most)
      return shapeError(element(flag, b), "0 to " + std::to_string(limit.most) + limit.said,
                        std::to_string((*lengths)[b]));
  inputs.lengths = *lengths;
  inputs.tensors.emplace("seqlens", Tensor::integers(*lengths));
  return {};
}

/// Where each of the padded sequences starts: it ends within its rows.
Status readStarts(const std::string &path, Inputs &inputs) {
  const char *flag = tensorRow("seq_starts").flag;
  Result<std::vector<int64_t>> starts = loadIntegers(flag, path, int64_t(inputs.lengths.size()));
  NYSJIT_RETURN_IF_ERROR(starts);
  for (size_t b = 0; b < starts->size(); ++b) {
    const int64_t last = inputs.length - inputs.lengths[b];
    if ((*starts)[b] < 0 || (*starts)[b] > last)
      return shapeError(element(flag, b),
                        "0 to " + std::to_string(last) + ", with a length of " +
                            std::to_string(inputs.lengths[b]),
                        std::to_string((*starts)[b]));
  }
  inputs.starts = *starts;
  inputs.tensors.emplace("seq_starts", Tensor::integers(*starts));
  return {};
}

Status readSourceLengths(const std::string &path, Inputs &inputs) {
  const char *flag = tensorRow("source_len").flag;
  Result<std::vector<int64_t>> lengths = loadIntegers(flag, path, int64_t(inputs.lengths.size()));
  NYSJIT_RETURN_IF_ERROR(lengths);
  for (size_t b = 0; b < lengths->size(); ++b)
    if ((*lengths)[b] < 0 || (*lengths)[b] > inputs.lengths[b])
      return shapeError(element(flag, b),
                        "0 to its sequence's length, " + std::to_string(inputs.lengths[b]),
                        std::to_string((*lengths)[b]));
  inputs.sourceLengths = *lengths;
  inputs.tensors.emplace("source_len", Tensor::integers(*lengths));
  return {};
}

/// The landmarks there are hold every sequence.
Status checkLengths(const KernelSpec &spec, const Inputs &inputs) {
  const std::optional<int64_t> most = maximumLength(spec);
  if (!most)
    return {};
  const auto where = [&](size_t b) -> std::string {
    if (inputs.isPacked)
      return element(tensorRow("cu_seqlens").flag, b + 1);
    return inputs.has("seqlens") ? element(tensorRow("seqlens").flag, b) : tensorRow("q").flag;
  };
  for (size_t b = 0; b < inputs.lengths.size(); ++b)
    if (inputs.lengths[b] > *most)
      return shapeError(where(b), expectedLength(*most), std::to_string(inputs.lengths[b]));
  return {};
}

/// The sequences: of lengths that a file says, or all of one length.
Status readSequences(const TensorFiles &files, Inputs &inputs) {
  const auto offsets = files.find("cu_seqlens");
  const auto lengths = files.find("seqlens");
  if (offsets != files.end())
    NYSJIT_RETURN_IF_ERROR(readOffsets(offsets->second, inputs));
  else if (lengths != files.end())
    NYSJIT_RETURN_IF_ERROR(readLengths(lengths->second, inputs.dimensions.at("B"), inputs));
  else
    inputs.lengths.assign(size_t(inputs.dimensions.at("B")), inputs.length);
  inputs.starts.resize(inputs.lengths.size());
  if (const auto starts = files.find("seq_starts"); starts != files.end())
    NYSJIT_RETURN_IF_ERROR(readStarts(starts->second, inputs));
  if (const auto source = files.find("source_len"); source != files.end())
    NYSJIT_RETURN_IF_ERROR(readSourceLengths(source->second, inputs));
  if ((inputs.isPacked || inputs.has("seqlens")) && !inputs.lengths.empty() &&
      inputs.maxLength == 0)
    inputs.maxLength =
        // 0 would be the longest there may be
        std::max<int64_t>(*std::ranges::max_element(inputs.lengths), 1);
  return {};
}

} // namespace

std::vector<int64_t> Inputs::shapeOf(const TensorRow &row) const {
  std::vector<int64_t> shape;
  for (const std::string_view name : dimensionNames(row, isPacked))
    shape.push_back(dimensions.find(name)->second);
  return shape;
}

Result<Inputs> loadInputs(const KernelSpec &spec, const TensorFiles &files,
                          std::optional<int64_t> maxLength) {
  NYSJIT_RETURN_IF_ERROR(checkPresence(spec, files));
  Inputs inputs;
  inputs.maxLength = maxLength.value_or(0);
  inputs.isPacked = files.contains("cu_seqlens");
  NYSJIT_RETURN_IF_ERROR(loadFloats(spec, files, inputs));
  NYSJIT_RETURN_IF_ERROR(readSequences(files, inputs));
  NYSJIT_RETURN_IF_ERROR(checkLengths(spec, inputs));
  return inputs;
}

ReferenceCase::ReferenceCase(const KernelSpec &spec, const Inputs &inputs, double scale) {
  own.spec = spec;
  own.scale = scale;
  own.packed = inputs.isPacked;
  own.batch = own.packed ? 1 : inputs.dimensions.at("B");
  own.queryHeads = inputs.dimensions.at("Hq");
  own.keyHeads = inputs.dimensions.at("Hkv");
  own.length = inputs.length;
  for (const auto &[name, tensor] : inputs.tensors)
    if (const auto member = reference::inputTensor(name)) {
      const std::vector<double> &numbers = values.emplace_back(tensor.toDoubles());
      own.*member = numbers.empty() ? nullptr : numbers.data();
    }
  own.starts = inputs.starts;
  own.lengths = inputs.lengths;
  own.sourceLengths = inputs.sourceLengths;
}

} // namespace nysjit::cli
