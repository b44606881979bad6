// From the flags' texts to values: every message has one form.
#include "runtime/cli/files.h"
#include "runtime/cli/given.h"
#include "runtime/cli/values.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/scale.h"
#include "runtime/spec/stage.h"
#include "runtime/spec/tensor_table.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

namespace nysjit::cli {

namespace {

// What a disassembler makes of a cubin: to be shown alone.
constexpr const char *sass = "sass";

Status needed(const char *flag, const Text &value, const char *what) {
  if (!value || value->empty())
    return argumentError(flag, what, value ? "an empty text" : "no such flag");
  return {};
}

Result<std::optional<float>> readScale(const Text &value) {
  if (!value)
    return std::optional<float>();
  double number = 0; // read as a double: a number too small for a float is a number, and 0
  const char *end = value->data() + value->size();
  std::from_chars_result read = std::from_chars(value->data(), end, number);
  if (read.ec == std::errc::result_out_of_range) // of a double: 0, or infinite
    number = std::strtod(value->c_str(), nullptr);
  if (read.ec != std::errc::invalid_argument && read.ptr == end && isScale(number))
    return std::optional(float(number));
  return argumentError("--scale", expectedScale, inQuotes(*value));
}

/// float32, or a dtype that a spec may have; whether it is this spec's is known later.
Result<std::optional<DType>> readOutputDtype(const Text &value) {
  if (!value)
    return std::optional<DType>();
  for (DType dtype : {DType::Float32, DType::Float16, DType::BFloat16})
    if (*value == dtypeName(dtype))
      return std::optional(dtype);
  return argumentError("--o-dtype", "float32, float16 or bfloat16", inQuotes(*value));
}

Result<std::optional<uint64_t>> limit(const char *flag, const Text &value) {
  uint64_t number = 0;
  if (!value)
    return std::optional<uint64_t>();
  const char *end = value->data() + value->size();
  std::from_chars_result read = std::from_chars(value->data(), end, number);
  if (read.ec == std::errc() && read.ptr == end)
    return std::optional(number);
  return argumentError(flag, "an integer, 0 (no limit) or more", inQuotes(*value));
}

/// "a, b or c"
std::string alternatives(const std::vector<std::string> &names) {
  std::string text = names[0];
  for (size_t i = 1; i < names.size(); ++i)
    text += (i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

/// What --emit, or --from, may name for a target of this kind.
std::vector<std::string> stageNames(TargetKind kind, bool isEmit) {
  std::vector<std::string> names;
  for (const Stage stage : stagesOf(kind))
    names.emplace_back(stageName(stage));
  names.emplace_back(stageName(Stage::Plan));
  if (isEmit && kind == TargetKind::Cuda)
    names.emplace_back(sass);
  return names;
}

/// A stage of the way to this target.
Result<std::string> stage(const char *flag, const std::string &name, const Target &target) {
  const bool isEmit = flag == std::string_view("--emit");
  const std::vector<std::string> names = stageNames(target.kind, isEmit);
  if (std::ranges::find(names, name) != names.end())
    return name;
  const std::vector<std::string> ofCuda = stageNames(TargetKind::Cuda, /*isEmit=*/true);
  const bool isCudas = std::ranges::find(ofCuda, name) != ofCuda.end();
  return argumentError(flag,
                       alternatives(names) + (target.isCuda() ? " for a cuda target"
                                              : isCudas       ? " without a --target cuda:..."
                                                              : ""),
                       inQuotes(name));
}

/// --device and the flags that depend on it.
Status readDevice(const Given &given, RunOptions &options) {
  NYSJIT_RETURN_IF_ERROR(readPlace(given, options.device, options.target));
  for (const auto &[flag, value] :
       {std::pair("--async", &given.async), std::pair("--seed", &given.seed)})
    if (*value && options.device != DeviceKind::PtxEmulator)
      return argumentError(flag, "--device ptx-emulator beside it",
                           std::string("device ") + deviceName(options.device));
  if (given.async && *given.async != "eager" && *given.async != "lazy")
    return argumentError("--async", "eager or lazy", inQuotes(*given.async));
  options.isLazy = given.async == "lazy";
  Result<std::optional<uint64_t>> seed =
      integer<uint64_t>("--seed", given.seed, 0, std::numeric_limits<uint64_t>::max());
  NYSJIT_RETURN_IF_ERROR(seed);
  options.seed = seed->value_or(0);
  return {};
}

/// The tensors' files, those that every run needs among them. Which others there must be depends on
/// the spec.
Result<TensorFiles> tensorFiles(const Given &given) {
  const auto pathOf = [&](std::string_view name) -> const Text & { return given.tensors.at(name); };
  TensorFiles files;
  for (const TensorRow &row : tensorTable()) {
    if (!row.flag)
      continue;
    const Text &path = pathOf(row.name);
    if (isAlwaysNeeded(row) || (isOutput(row) && path))
      NYSJIT_RETURN_IF_ERROR(
          needed(row.flag, path, isOutput(row) ? "a file to write" : "a .npy file"));
    if (path)
      files.emplace(row.name, *path);
  }
  for (const TensorRow &row : tensorTable())
    if (row.flag && row.notWith && pathOf(row.name) && pathOf(row.notWith))
      return argumentError(row.flag,
                           std::string("no such flag beside ") + tensorRow(row.notWith).flag,
                           inQuotes(*pathOf(row.name)));
  for (const TensorRow &row : tensorTable())
    if (row.role == TensorRole::OptionalOutput && pathOf(row.name) && !pathOf("dout"))
      return argumentError(row.flag, std::string(tensorRow("dout").flag) + " beside it",
                           "no such flag");
  if (pathOf("seq_starts") && !pathOf("seqlens"))
    return argumentError(tensorRow("seq_starts").flag,
                         std::string(tensorRow("seqlens").flag) + " beside it", "no such flag");
  return files;
}

/// The longest sequence there may be, where sequences have lengths of their own.
Result<std::optional<int64_t>> readMaxLength(const Given &given) {
  const char *flag = "--max-length";
  if (given.maxLength && !given.tensors.at("seqlens") && !given.tensors.at("cu_seqlens"))
    return argumentError(flag, "--seqlens or --cu-seqlens beside it", "no such flag");
  return integer<int64_t>(flag, given.maxLength, 1, std::numeric_limits<int64_t>::max());
}

/// At most one input is read from standard input.
Status checkStandardInput(const Given &given) {
  const char *first = nullptr;
  for (const TensorRow &row : tensorTable()) {
    if (!row.flag || isOutput(row) || given.tensors.at(row.name) != standardInput)
      continue;
    if (first)
      return argumentError(
          row.flag, "a file other than standard input, which " + std::string(first) + " takes",
          inQuotes(standardInput));
    first = row.flag;
  }
  return {};
}

} // namespace

Result<Options> compileOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given, "-o", given.output));
  CompileOptions options{.spec = given.spec, .config = given.config, .output = given.output};
  options.isConfigRequired = given.configRequired;
  Result<Target> parsed = target(given.target);
  NYSJIT_RETURN_IF_ERROR(parsed);
  options.target = *parsed;
  if (given.emit) {
    Result<std::string> name = stage("--emit", *given.emit, options.target);
    NYSJIT_RETURN_IF_ERROR(name);
    options.emit = *name;
  }
  if (!given.from.empty()) {
    Result<std::string> name = stage("--from", given.from[0], options.target);
    NYSJIT_RETURN_IF_ERROR(name);
    options.from = *name;
    options.fromFile = given.from[1];
  }
  if (given.output && given.output->empty())
    return argumentError("-o", "a file to write", "an empty text");
  if (given.json && given.emit && !given.output)
    return argumentError(
        "--json", "-o FILE beside --json and --emit, which would share standard output", "no -o");
  return Options{options};
}

Result<Options> runOptions(const Given &given) {
  for (const TensorRow &row : tensorTable())
    if (row.flag && isOutput(row))
      NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given, row.flag, given.tensors.at(row.name)));
  NYSJIT_RETURN_IF_ERROR(checkStandardInput(given));
  RunOptions options{.spec = given.spec, .config = given.config};
  NYSJIT_RETURN_IF_ERROR(readDevice(given, options));
  Result<TensorFiles> tensors = tensorFiles(given);
  NYSJIT_RETURN_IF_ERROR(tensors);
  Result<std::optional<float>> scale = readScale(given.scale);
  NYSJIT_RETURN_IF_ERROR(scale);
  Result<std::optional<int64_t>> maxLength = readMaxLength(given);
  NYSJIT_RETURN_IF_ERROR(maxLength);
  Result<std::optional<DType>> outputDtype = readOutputDtype(given.outputDtype);
  NYSJIT_RETURN_IF_ERROR(outputDtype);
  Result<std::optional<int>> repeat = integer("--repeat", given.repeat, 1, 1000000);
  NYSJIT_RETURN_IF_ERROR(repeat);
  Result<std::optional<int>> threads = integer("--threads", given.threads, 1, 1024);
  NYSJIT_RETURN_IF_ERROR(threads);
  options.tensors = std::move(*tensors);
  options.scale = *scale;
  options.maxLength = *maxLength;
  options.outputDtype = *outputDtype;
  options.repeat = repeat->value_or(1);
  options.threads = threads->value_or(0);
  options.check = given.check;
  options.isRecomputed = given.recompute;
  if (given.recompute && !given.tensors.at("dout"))
    return argumentError("--recompute", "--dout beside it", "no such flag");
  NYSJIT_RETURN_IF_ERROR(checkBundles(given));
  options.bundles = given.bundles;
  options.isSealed = given.sealed;
  options.isConfigRequired = given.configRequired;
  return Options{options};
}

Result<Options> tuneOptions(const Given &given) {
  if (std::optional<Result<Options>> other = otherTuneOptions(given))
    return std::move(*other);
  NYSJIT_RETURN_IF_ERROR(needed("TUNE", Text(given.spec), "what to tune, a JSON file"));
  TuneOptions options{.file = given.spec,
                      .isResumed = given.resume,
                      .isRestarted = given.restart,
                      .output = given.output,
                      .svg = given.svg,
                      .isQuiet = given.quiet};
  NYSJIT_RETURN_IF_ERROR(checkPicture(given));
  if (given.device) {
    Result<DeviceKind> device = parseDevice(*given.device);
    if (!device)
      return under("--device", device.error());
    options.device = *given.device;
  }
  if (given.target) {
    Result<Target> target = parseTarget(*given.target);
    if (!target)
      return under("--target", target.error());
    options.target = *target;
  }
  NYSJIT_RETURN_IF_ERROR(checkBundles(given));
  options.bundles = given.bundles;
  options.isCompileOnly = given.compileOnly;
  if (given.resume && given.restart)
    return argumentError("--restart", "no such flag beside --resume", "both");
  for (const auto &[isGiven, flag] : {std::pair(given.resume, "--resume"),
                                      {given.restart, "--restart"},
                                      {given.svg.has_value(), "--svg"},
                                      {!given.bundles.empty(), "--bundle"}})
    if (given.compileOnly && isGiven)
      return argumentError(flag, "no such flag beside --compile-only", "both");
  if (given.compileOnly && !given.output)
    return argumentError("-o", "a file to write, the bundle", "no such flag");
  if (given.output && given.output->empty())
    return argumentError("-o", "a file to write", "an empty text");
  NYSJIT_RETURN_IF_ERROR(given.compileOnly ? checkStandardOutput(given, "-o", given.output)
                                           : checkNamed("-o", given.output));
  return Options{options};
}

Result<Options> bundleOptions(const Given &given, BundleOptions::Action action) {
  BundleOptions options{.action = action, .config = given.config};
  if (action != BundleOptions::Action::Make) {
    options.file = given.bundle.value_or("");
    return Options{options};
  }
  NYSJIT_RETURN_IF_ERROR(needed("SPECS", given.spec, "a JSON file with an array of specs"));
  options.file = given.spec;
  NYSJIT_RETURN_IF_ERROR(needed("--target", given.target, "names of targets, by commas"));
  for (size_t start = 0; start <= given.target->size();) {
    const size_t end = std::min(given.target->find(',', start), given.target->size());
    Result<Target> one = target(given.target->substr(start, end - start));
    NYSJIT_RETURN_IF_ERROR(one);
    options.targets.push_back(*one);
    start = end + 1;
  }
  NYSJIT_RETURN_IF_ERROR(needed("-o", given.output, "a file to write"));
  NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given, "-o", given.output));
  if (given.emit && *given.emit != "c")
    return argumentError("--emit", "c, or no such flag", inQuotes(*given.emit));
  options.isC = given.emit.has_value();
  options.output = *given.output;
  return Options{options};
}

Result<Options> cacheOptions(const Given &given, CacheOptions::Action action) {
  CacheOptions options{
      .action = action, .key = given.key, .spec = given.spec, .config = given.config};
  Result<Target> parsed = target(given.target);
  NYSJIT_RETURN_IF_ERROR(parsed);
  Result<std::optional<uint64_t>> bytes = limit("--max-bytes", given.maxBytes);
  NYSJIT_RETURN_IF_ERROR(bytes);
  Result<std::optional<uint64_t>> entries = limit("--max-entries", given.maxEntries);
  NYSJIT_RETURN_IF_ERROR(entries);
  options.target = *parsed;
  options.maxBytes = *bytes;
  options.maxEntries = *entries;
  return Options{options};
}

} // namespace nysjit::cli
