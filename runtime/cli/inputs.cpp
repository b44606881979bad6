// First which files there must be, then shapes, then the sequences' numbers.
#include "runtime/cli/inputs.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <tuple>

namespace nysjit::cli {

namespace {

/// "--seqlens[2]"
std::string element(const char *flag, size_t index) {
  return std::string(flag) + "[" + std::to_string(index) + "]";
}

/// An optional tensor is there exactly where the spec has a use for it.
Status checkPresence(const KernelSpec &spec, const InputFiles &files) {
  const std::string layout = std::string("layout ") + layoutName(spec.layout);
  const bool isScan = spec.layout == Layout::Scan;
  const bool isLearned = spec.landmarkSource == LandmarkSource::Learned;
  const std::string source =
      isScan ? std::string("landmark_source ") + (isLearned ? "learned" : "first_k") : layout;
  const std::string conv = spec.layout == Layout::ExactCausal
                               ? layout
                               : "conv_kernel " + std::to_string(spec.convKernel);
  const struct {
    const char *flag;
    const std::optional<std::string> &path;
    bool isUsed;
    std::string reason;
  } rows[] = {{"--landmark-q", files.landmarkQ, isScan && isLearned, source},
              {"--landmark-k", files.landmarkK, isScan && isLearned, source},
              {"--conv", files.conv, spec.convKernel > 0, conv},
              {"--source-len", files.sourceLen, spec.layout == Layout::PrefixLm, layout}};
  for (const auto &[flag, path, isUsed, reason] : rows) {
    if (isUsed && !path)
      return Error::mismatch(ErrorKind::InvalidArgument, flag, "a .npy file with " + reason,
                             "no such flag");
    if (!isUsed && path)
      return Error::mismatch(ErrorKind::InvalidArgument, flag, "no such flag with " + reason,
                             '"' + describeName(*path) + '"');
  }
  return {};
}

/// q is [B, Hq, n, d], k and v are [B, Hkv, n, d], Hkv dividing Hq; packed sequences have [total,
/// heads, d].
Status checkShapes(const KernelSpec &spec, bool isPacked, Inputs &inputs) {
  const std::vector<int64_t> &q = inputs.q.shape;
  const std::vector<int64_t> &k = inputs.k.shape;
  const std::vector<int64_t> &v = inputs.v.shape;
  const size_t rank = isPacked ? 3 : 4;
  const size_t heads = 1;
  const size_t rows = isPacked ? 0 : 2;
  const std::string d = std::to_string(spec.headDim);
  if (q.size() != rank || q.back() != spec.headDim)
    return shapeError("--q",
                      isPacked ? "shape [total, Hq, " + d + "], with --cu-seqlens"
                               : "shape [B, Hq, n, " + d + "]",
                      shapeText(q));
  std::vector<int64_t> expected = q;
  if (k.size() == rank)
    expected[heads] = k[heads];
  if (k != expected || k[heads] < 1 || q[heads] % k[heads] != 0) {
    const std::string n = std::to_string(q[rows]);
    return shapeError(
        "--k",
        "shape [" + (isPacked ? n + ", Hkv, " : std::to_string(q[0]) + ", Hkv, " + n + ", ") + d +
            "], where Hkv divides the " + std::to_string(q[heads]) + " heads of --q",
        shapeText(k));
  }
  if (v != k)
    return shapeError("--v", "shape " + shapeText(k) + ", as --k", shapeText(v));
  inputs.queryHeads = q[heads];
  inputs.keyHeads = k[heads];
  inputs.length = q[rows];
  return {};
}

/// Reads an optional floating tensor of one possible shape.
Status loadOptional(const char *flag, const std::optional<std::string> &path, DType dtype,
                    const std::vector<int64_t> &shape, std::optional<Tensor> &tensor) {
  if (!path)
    return {};
  Result<Tensor> loaded = loadTensor(flag, *path, dtype);
  NYSJIT_RETURN_IF_ERROR(loaded);
  if (loaded->shape != shape)
    return shapeError(flag, "shape " + shapeText(shape), shapeText(loaded->shape));
  tensor = std::move(*loaded);
  return {};
}

/// Sequences one after the other: ends of each, ascending, within the rows.
Status readOffsets(const std::string &path, Inputs &inputs) {
  const char *flag = "--cu-seqlens";
  Result<std::vector<int64_t>> offsets = loadIntegers(flag, path, -1);
  NYSJIT_RETURN_IF_ERROR(offsets);
  for (size_t i = 0; i < offsets->size(); ++i) {
    const int64_t least = i ? (*offsets)[i - 1] : 0;
    const int64_t offset = (*offsets)[i];
    if (offset < least || offset > inputs.length)
      return shapeError(element(flag, i),
                        std::to_string(least) + " to " + std::to_string(inputs.length),
                        std::to_string(offset));
    if (i) {
      inputs.starts.push_back(least);
      inputs.lengths.push_back(offset - least);
    }
  }
  inputs.cuSeqlens = Tensor::integers(*offsets);
  return {};
}

/// Each sequence has the first rows of its own.
Status readLengths(const std::string &path, int64_t batch, Inputs &inputs) {
  const char *flag = "--seqlens";
  Result<std::vector<int64_t>> lengths = loadIntegers(flag, path, batch);
  NYSJIT_RETURN_IF_ERROR(lengths);
  for (size_t b = 0; b < lengths->size(); ++b)
    if ((*lengths)[b] < 0 || (*lengths)[b] > inputs.length)
      return shapeError(element(flag, b), "0 to " + std::to_string(inputs.length),
                        std::to_string((*lengths)[b]));
  inputs.lengths = *lengths;
  inputs.seqlens = Tensor::integers(*lengths);
  return {};
}

Status readSourceLengths(const std::string &path, Inputs &inputs) {
  const char *flag = "--source-len";
  Result<std::vector<int64_t>> parts = loadIntegers(flag, path, int64_t(inputs.lengths.size()));
  NYSJIT_RETURN_IF_ERROR(parts);
  for (size_t b = 0; b < parts->size(); ++b)
    if ((*parts)[b] < 0 || (*parts)[b] > inputs.lengths[b])
      return shapeError(element(flag, b),
                        "0 to its sequence's length, " + std::to_string(inputs.lengths[b]),
                        std::to_string((*parts)[b]));
  inputs.sourceLengths = *parts;
  inputs.sourceLen = Tensor::integers(*parts);
  return {};
}

/// The landmarks there are hold every sequence.
Status checkLengths(const KernelSpec &spec, const Inputs &inputs) {
  const int64_t most = spec.segmentLen ? int64_t(spec.landmarks) * *spec.segmentLen : INT64_MAX;
  for (size_t b = 0; b < inputs.lengths.size(); ++b)
    if (inputs.lengths[b] > most)
      return shapeError(inputs.cuSeqlens ? element("--cu-seqlens", b + 1)
                        : inputs.seqlens ? element("--seqlens", b)
                                         : "--q",
                        "a length of at most landmarks * segment_len = " + std::to_string(most) +
                            " positions",
                        std::to_string(inputs.lengths[b]));
  return {};
}

std::vector<double> doublesOf(const std::optional<Tensor> &tensor) {
  return tensor ? tensor->toDoubles() : std::vector<double>();
}

} // namespace

Result<Inputs> loadInputs(const KernelSpec &spec, const InputFiles &files) {
  NYSJIT_RETURN_IF_ERROR(checkPresence(spec, files));
  Inputs inputs;
  const std::tuple<const char *, const std::string &, Tensor &> needed[] = {
      {"--q", files.q, inputs.q}, {"--k", files.k, inputs.k}, {"--v", files.v, inputs.v}};
  for (const auto &[flag, path, tensor] : needed) {
    Result<Tensor> loaded = loadTensor(flag, path, spec.dtype);
    NYSJIT_RETURN_IF_ERROR(loaded);
    tensor = std::move(*loaded);
  }
  NYSJIT_RETURN_IF_ERROR(checkShapes(spec, files.cuSeqlens.has_value(), inputs));
  const auto optional = [&](const char *flag, const auto &path, std::vector<int64_t> shape,
                            auto &tensor) {
    return loadOptional(flag, path, spec.dtype, shape, tensor);
  };
  NYSJIT_RETURN_IF_ERROR(optional("--landmark-q", files.landmarkQ,
                                  {inputs.queryHeads, spec.landmarks, spec.headDim},
                                  inputs.landmarkQ));
  NYSJIT_RETURN_IF_ERROR(optional("--landmark-k", files.landmarkK,
                                  {inputs.keyHeads, spec.landmarks, spec.headDim},
                                  inputs.landmarkK));
  NYSJIT_RETURN_IF_ERROR(
      optional("--conv", files.conv, {inputs.queryHeads, spec.convKernel}, inputs.conv));

  // The sequences: of lengths that a file says, or all of one length.
  const int64_t batch = inputs.q.shape[0];
  if (files.cuSeqlens)
    NYSJIT_RETURN_IF_ERROR(readOffsets(*files.cuSeqlens, inputs));
  else if (files.seqlens)
    NYSJIT_RETURN_IF_ERROR(readLengths(*files.seqlens, batch, inputs));
  else
    inputs.lengths.assign(size_t(batch), inputs.length);
  inputs.starts.resize(inputs.lengths.size());
  if (files.sourceLen)
    NYSJIT_RETURN_IF_ERROR(readSourceLengths(*files.sourceLen, inputs));
  NYSJIT_RETURN_IF_ERROR(checkLengths(spec, inputs));
  if ((files.cuSeqlens || files.seqlens) && !inputs.lengths.empty())
    inputs.maxLength =
        // 0 would be the longest there may be
        std::max<int64_t>(*std::ranges::max_element(inputs.lengths), 1);
  return inputs;
}

ReferenceCase::ReferenceCase(const KernelSpec &spec, const Inputs &inputs, double scale)
    : q(inputs.q.toDoubles()), k(inputs.k.toDoubles()), v(inputs.v.toDoubles()),
      landmarkQ(doublesOf(inputs.landmarkQ)), landmarkK(doublesOf(inputs.landmarkK)),
      conv(doublesOf(inputs.conv)) {
  const auto pointer = [](const std::vector<double> &values) {
    return values.empty() ? nullptr : values.data();
  };
  own.spec = spec;
  own.scale = scale;
  own.packed = inputs.isPacked();
  own.batch = own.packed ? 1 : inputs.q.shape[0];
  own.queryHeads = inputs.queryHeads;
  own.keyHeads = inputs.keyHeads;
  own.length = inputs.length;
  own.q = q.data();
  own.k = k.data();
  own.v = v.data();
  own.landmarkQ = pointer(landmarkQ);
  own.landmarkK = pointer(landmarkK);
  own.conv = pointer(conv);
  own.starts = inputs.starts;
  own.lengths = inputs.lengths;
  own.sourceLengths = inputs.sourceLengths;
}

} // namespace nysjit::cli
