// `nysjit run`: tensors in, the program over them, the output, the check's verdict. Nothing is
// written before the run went well; what the check says of it is apart from that.
#include "runtime/base/format.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/inputs.h"
#include "runtime/cli/launches.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/run_arguments.h"
#include "runtime/gpu/gpu_session.h"
#include "runtime/reference/accuracy.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <cmath>

namespace nysjit::cli {

using nlohmann::json;

namespace {

/// No "-nan".
double withoutSign(double error) { return std::isnan(error) ? std::abs(error) : error; }

/// What the runs came to.
struct Measured {
  double kernelMs = 0;                // the median of the runs' sums
  std::vector<LaunchRecord> launches; // of the run in the middle
  size_t workspaceBytes = 0;
};

/// Runs the program `repeat` times into `outputs`. Without `gpu` on the CPU.
Result<Measured> runProgram(const LoadedProgram &program, const Inputs &inputs,
                            std::vector<RunOutput> &outputs, float scale, int repeat,
                            const GpuSession *gpu) {
  Result<std::unique_ptr<RunArguments>> arguments =
      RunArguments::create(inputs, outputs, scale, gpu);
  NYSJIT_RETURN_IF_ERROR(arguments);
  const nysjit_run_args &args = (*arguments)->get();
  Measured measured;
  Result<size_t> workspace = program.workspaceBytes(args);
  if (!workspace)
    return namedByFlag(workspace.takeError());
  measured.workspaceBytes = *workspace;

  Progress progress(repeat == 1 ? "running" : "running " + std::to_string(repeat) + " times");
  std::vector<std::vector<LaunchRecord>> runs;
  LaunchRecorder recorder(gpu ? gpu->lastCounts() : nullptr);
  const LaunchObserver observer = recorder.observer();
  for (int i = 0; i < repeat; ++i) {
    if (Status status = program.run(args, nullptr, &observer); !status)
      return namedByFlag(status.takeError());
    if (gpu)
      NYSJIT_RETURN_IF_ERROR(gpu->checkLaunches());
    runs.push_back(recorder.take());
  }
  NYSJIT_RETURN_IF_ERROR((*arguments)->fetch(outputs));
  std::ranges::sort(runs, {}, totalMs);
  measured.launches = runs[(runs.size() - 1) / 2];
  measured.kernelMs = (totalMs(measured.launches) + totalMs(runs[runs.size() / 2])) / 2;
  return measured;
}

struct Checked {
  double error = 0;
  double bound = 0;
  bool isWithin() const { return error <= bound; } // a NaN is not
};

/// Compares o with the float64 reference on the inputs as they were rounded.
Result<Checked> check(const KernelSpec &spec, bool isGpu, const Inputs &inputs,
                      const std::vector<RunOutput> &outputs, double scale) {
  const auto o = std::ranges::find(outputs, std::string_view("o"),
                                   [](const RunOutput &output) { return output.row->name; });
  Progress progress("computing the float64 reference");
  const ReferenceCase exact(spec, inputs, scale);
  Result<std::vector<double>> reference = reference::compute(exact.input());
  NYSJIT_RETURN_IF_ERROR(reference);
  Checked checked;
  checked.error = reference::relativeError(o->tensor.toFloats(), *reference);
  checked.bound = reference::errorBound(exact.input(), isGpu);
  return checked;
}

/// CheckFailed where the error is over its bound. The message says what was written all the same.
Status verdict(const Checked &checked, const RunOptions &options) {
  if (checked.isWithin())
    return {};
  Error error =
      Error::mismatch(ErrorKind::CheckFailed, "--check",
                      "a relative error of at most " + format("%g", checked.bound) + " for o",
                      format("%.3g", withoutSign(checked.error)));
  const TensorRow &o = tensorRow("o");
  error.message += std::string("; ") + o.flag + " " +
                   describeName(options.tensors.find(o.name)->second) + " was written";
  return error;
}

/// float32, or the spec's dtype if that was asked for.
Result<DType> outputDtype(const RunOptions &options, const KernelSpec &spec) {
  const DType dtype = options.outputDtype.value_or(DType::Float32);
  if (dtype == DType::Float32 || dtype == spec.dtype)
    return dtype;
  return Error::mismatch(
      ErrorKind::InvalidArgument, "--o-dtype",
      std::string("float32") +
          (spec.dtype == DType::Float32 ? "" : std::string(" or ") + dtypeName(spec.dtype)) +
          " with dtype " + dtypeName(spec.dtype),
      dtypeName(dtype));
}

std::string reportText(const RunOptions &options, const KernelSpec &spec,
                       const PreparedProgram &prepared, const Inputs &inputs,
                       const Measured &measured, const std::optional<Checked> &checked) {
  const bool isCompiled = prepared.cache == CacheState::Compiled;
  const std::string cache = cacheStateName(prepared.cache);
  std::string text = std::string(layoutName(spec.layout)) + " " + dtypeName(spec.dtype) + " on " +
                     deviceName(options.device) + " (" + prepared.program->plan().target + ")\n";
  text += "  program   " + std::string(isCompiled ? "compiled in " : cache + ", loaded in ") +
          format("%.1f ms\n", isCompiled ? prepared.compileMs : prepared.loadMs);
  text += "  tensors   q " + shapeText(inputs.at("q").shape) + ", k and v " +
          shapeText(inputs.at("k").shape) + "\n";
  text += "  kernels   " + format("%.3f ms", measured.kernelMs) +
          (options.repeat > 1 ? ", median of " + std::to_string(options.repeat) : "") + "\n";
  for (const LaunchRecord &launch : measured.launches)
    text += "    " + launch.kernel + " x " + std::to_string(launch.grid) +
            format("  %.3f ms\n", launch.ms);
  if (checked)
    text += "  error     " +
            format("%.3g against the float64 reference", withoutSign(checked->error)) +
            format(" (bound %g)\n", checked->bound);
  for (const TensorRow &row : tensorTable())
    if (const auto path = options.tensors.find(row.name);
        isOutput(row) && path != options.tensors.end())
      text += "  output    " + path->second + "\n";
  return text;
}

json reportJson(const RunOptions &options, const PreparedProgram &prepared,
                const Measured &measured, const std::optional<Checked> &checked) {
  const LoadedProgram &program = *prepared.program;
  json report = {{"device", deviceName(options.device)},
                 {"target", program.plan().target},
                 {"cache", cacheStateName(prepared.cache)},
                 {"load_ms", prepared.loadMs},
                 {"compile_ms", prepared.compileMs},
                 {"kernel_ms", measured.kernelMs},
                 {"workspace_bytes", measured.workspaceBytes},
                 {"scratch_bytes_per_thread", program.scratchBytes()},
                 {"config", parsed(program.configJson())},
                 {"config_source", prepared.configSource},
                 {"launches", launchesJson(measured.launches)}};
  if (options.device == DeviceKind::PtxEmulator)
    report["counts"] = totalCountsJson(measured.launches);
  if (!prepared.note.empty())
    report["note"] = prepared.note;
  if (checked) {
    report["rel_error"]["o"] = checked->error;
    report["bound"] = checked->bound;
  }
  return report;
}

/// --bundle, or what the environment says.
std::optional<GivenBundles> bundlesOf(const RunOptions &options) {
  if (options.bundles.empty())
    return std::nullopt;
  return GivenBundles{options.bundles, {}};
}

/// A GPU's or the emulator's session; null on the CPU.
Result<std::unique_ptr<GpuSession>> openDevice(const RunOptions &options, RuntimeContext &context) {
  if (options.device == DeviceKind::Cpu)
    return std::unique_ptr<GpuSession>();
  Result<std::shared_ptr<CudaDevice>> device = context.cudaDevice();
  NYSJIT_RETURN_IF_ERROR(device);
  return GpuSession::open(*device);
}

} // namespace

Result<Reply> runTensors(const RunOptions &options) {
  // The request, whole: a wrong one is known before anything is compiled.
  Result<RequestFiles> files = readRequest(options.spec, options.config);
  NYSJIT_RETURN_IF_ERROR(files);
  const KernelSpec &spec = files->spec;
  Result<std::vector<RunOutput>> outputs = createOutputs(options.tensors);
  NYSJIT_RETURN_IF_ERROR(outputs);
  Result<DType> dtype = outputDtype(options, spec);
  NYSJIT_RETURN_IF_ERROR(dtype);
  Result<Inputs> inputs = loadInputs(spec, options.tensors, options.maxLength);
  NYSJIT_RETURN_IF_ERROR(inputs);
  for (RunOutput &output : *outputs)
    output.tensor = Tensor::zeros(inputs->shapeOf(*output.row), *dtype);
  const float scale = options.scale.value_or(float(1 / std::sqrt(double(spec.headDim))));

  // The device, which may not be there.
  RuntimeContext context({.threads = static_cast<size_t>(options.threads),
                          .device = options.device,
                          .bundles = bundlesOf(options),
                          .isSealed = options.isSealed,
                          .log = standardErrorLog()});
  Result<std::unique_ptr<GpuSession>> gpu = openDevice(options, context);
  NYSJIT_RETURN_IF_ERROR(gpu);
  Result<Resolved> resolved = resolve(context, *files, options.target, options.isConfigRequired);
  NYSJIT_RETURN_IF_ERROR(resolved);
  if (*gpu)
    NYSJIT_RETURN_IF_ERROR(
        (*gpu)->configure({options.isLazy, options.seed}, resolved->request.target));

  // The program, its runs, and what they computed.
  Result<PreparedProgram> prepared = prepare(context, *resolved);
  NYSJIT_RETURN_IF_ERROR(prepared);
  Result<Measured> measured =
      runProgram(*prepared->program, *inputs, *outputs, scale, options.repeat, gpu->get());
  NYSJIT_RETURN_IF_ERROR(measured);
  std::optional<Checked> checked;
  if (options.check) {
    Result<Checked> result = check(spec, *gpu != nullptr, *inputs, *outputs, scale);
    NYSJIT_RETURN_IF_ERROR(result);
    checked = *result;
  }
  for (const RunOutput &output : *outputs)
    NYSJIT_RETURN_IF_ERROR(output.file.write(npyFile(output.tensor)));
  if (checked)
    NYSJIT_RETURN_IF_ERROR(verdict(*checked, options));
  Reply reply{.json = reportJson(options, *prepared, *measured, checked),
              .text = reportText(options, spec, *prepared, *inputs, *measured, checked)};
  reply.isOutputTaken = std::ranges::any_of(
      *outputs, [](const RunOutput &output) { return output.file.isStandardOutput(); });
  return reply;
}

} // namespace nysjit::cli
