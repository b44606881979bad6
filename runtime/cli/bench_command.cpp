// `nysjit bench`: reads what is to be timed, asks for each program as `run` would, times them, and
// draws the picture.
#include "runtime/bench/gpu_rates.h"
#include "runtime/bench/others.h"
#include "runtime/bench/picture.h"
#include "runtime/bench/report.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/given.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/device/cpus.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/lengths.h"
#include "runtime/tune/gpu_lab.h"
#include "runtime/tune/tune_shapes.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <unistd.h>

namespace nysjit::cli {

namespace {

/// What is asked for as one program.
struct Asked {
  std::string name;
  RequestFiles request;
};

/// --vs: another spec, or another config for the same one.
Result<Asked> readOther(const std::string &path, const KernelSpec &spec) {
  Result<std::string> text = readFile("--vs", path);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<Json> document = parseJsonObject(*text);
  if (!document)
    return inFile(path, document.takeError());
  if (!document->contains("layout")) {
    Result<ConfigChoice> config = parseConfigChoice(*text);
    if (!config)
      return inFile(path, config.takeError());
    return Asked{path, {spec, std::move(*config)}};
  }
  Result<KernelSpec> other = parseKernelSpec(*document);
  if (!other)
    return inFile(path, other.takeError());
  if (other->headDim != spec.headDim)
    return argumentError(
        "--vs", "a spec that runs on the same tensors, head_dim " + std::to_string(spec.headDim),
        "head_dim " + std::to_string(other->headDim));
  return Asked{path, {std::move(*other), {}}};
}

/// Five sizes, doubling, up to 16384 or the longest that all specs have.
std::vector<int64_t> defaultSizes(const std::vector<KernelSpec> &specs) {
  uint64_t longest = 16384;
  for (const KernelSpec &spec : specs)
    if (const std::optional<int64_t> most = maximumLength(spec))
      longest = std::min(longest, uint64_t(*most));
  std::vector<int64_t> sizes;
  for (uint64_t size = std::bit_floor(longest); size > 0 && sizes.size() < 5; size /= 2)
    sizes.insert(sizes.begin(), int64_t(size));
  return sizes;
}

/// The shapes of all sizes; a prefix_lm's sources are half of each. Checked as TUNE.json's are.
Result<std::vector<tune::TuneShape>> shapesOf(const BenchOptions &options,
                                              const std::vector<KernelSpec> &specs) {
  const bool hasSource = std::ranges::count(specs, Layout::PrefixLm, &KernelSpec::layout) > 0;
  Json list = Json::array();
  for (const int64_t size : options.sizes.empty() ? defaultSizes(specs) : options.sizes) {
    Json shape = {{"length", size},
                  {"batch", options.batch},
                  {"heads", options.heads},
                  {"kv_heads", options.kvHeads.value_or(options.heads)}};
    if (hasSource)
      shape["source_len"] = size / 2;
    list.push_back(std::move(shape));
  }
  Result<std::vector<tune::TuneShape>> shapes = tune::readShapes(list, specs);
  if (shapes)
    return shapes;
  const Error &error = shapes.error(); // of shapes[1].kv_heads
  return argumentError(error.where.ends_with(".kv_heads") ? "--kv-heads" : "--sizes",
                       error.expected, error.found);
}

Status checkDevice(DeviceKind device) {
  if (device != DeviceKind::PtxEmulator)
    return {};
  return Error::mismatch(ErrorKind::Unavailable, "--device", "cpu or cuda",
                         "ptx-emulator, which has no clock");
}

/// The program that `run` would take: its config whole, and where that is from.
Result<bench::Contender> contenderOf(RuntimeContext &context, const Asked &asked,
                                     std::optional<Target> &target) {
  Result<Resolved> resolved = resolve(context, asked.request, target);
  NYSJIT_RETURN_IF_ERROR(resolved);
  target = resolved->request.target; // of what is compared, too
  Result<PreparedProgram> prepared = context.prepare(std::move(*resolved));
  NYSJIT_RETURN_IF_ERROR(prepared);
  Result<KernelConfig> config =
      parseKernelConfig(std::string_view(prepared->program->configJson()));
  NYSJIT_RETURN_IF_ERROR(config);
  return bench::Contender{asked.name, asked.request.spec, std::move(*config),
                          prepared->configSource};
}

} // namespace

Result<Reply> runBench(const BenchOptions &options) {
  NYSJIT_RETURN_IF_ERROR(checkDevice(options.device));
  Result<RequestFiles> request = readRequest(options.spec, options.config);
  NYSJIT_RETURN_IF_ERROR(request);
  std::vector<Asked> asked = {{options.spec, std::move(*request)}};
  std::vector<KernelSpec> specs = {asked.front().request.spec};
  if (options.vs) {
    Result<Asked> other = readOther(*options.vs, specs.front());
    NYSJIT_RETURN_IF_ERROR(other);
    specs.push_back(other->request.spec);
    asked.push_back(std::move(*other));
  }
  Result<std::vector<tune::TuneShape>> shapes = shapesOf(options, specs);
  NYSJIT_RETURN_IF_ERROR(shapes);
  Result<std::optional<OutputFile>> picture = pictureFile(options.svg);
  NYSJIT_RETURN_IF_ERROR(picture);

  // The programs.
  RuntimeContext context(
      {.threads = size_t(options.threads), .device = options.device, .log = standardErrorLog()});
  std::optional<Target> target = options.target;
  bench::BenchRequest benched{
      .shapes = *shapes, .threads = options.threads, .seconds = double(options.seconds)};
  for (const Asked &one : asked) {
    Result<bench::Contender> contender = contenderOf(context, one, target);
    NYSJIT_RETURN_IF_ERROR(contender);
    benched.contenders.push_back(std::move(*contender));
  }

  // Their times.
  constexpr double unlimited = 1e9; // seconds of a compile: the worker has its own limit
  const tune::TuneFile file{.specs = specs,
                            .device = deviceName(options.device),
                            .target = target,
                            .shapes = *shapes,
                            .compileSeconds = unlimited};
  static const std::atomic<int> noEnding{0}; // a signal ends the command
  const tune::LabMaker labFor = [&](const KernelSpec &spec, int threads) {
    return tune::createLab(spec, file, threads, noEnding, {.log = standardErrorLog(), .jobs = 1});
  };
  const size_t threads = options.threads ? size_t(options.threads) : availableCpus();
  benched.takeRates = [&]() -> Result<bench::Rates> {
    if (options.device == DeviceKind::Cpu)
      return bench::takeCpuRates(*target, threads);
    Result<std::shared_ptr<CudaDevice>> device = context.cudaDevice();
    NYSJIT_RETURN_IF_ERROR(device);
    return bench::takeGpuRates(*device, specs.front());
  };
  benched.takenByOthers = &bench::othersCpuSeconds;
  benched.cpus = size_t(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  tune::ProgressLine progress(options.isQuiet ? nullptr : stderr);
  Result<bench::BenchReport> report = bench::bench(benched, labFor, progress);
  NYSJIT_RETURN_IF_ERROR(report);
  if (*picture)
    NYSJIT_RETURN_IF_ERROR((*picture)->write(bench::pictureOf(*report)));
  Reply reply{parsed(bench::reportObject(*report).dump()), bench::reportText(*report)};
  reply.isOutputTaken = *picture && (*picture)->isStandardOutput();
  return reply;
}

} // namespace nysjit::cli
