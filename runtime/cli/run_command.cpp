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
#include "runtime/reference/gradients.h"
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

/// One of the programs of a run.
struct Step {
  KernelSpec spec;
  PreparedProgram prepared;
  Measured measured;
};

/// Runs the step's program `repeat` times. Without `gpu` on the CPU.
Status runStep(Step &step, const RunArguments &arguments, const SavedMemory &saved, int repeat,
               const GpuSession *gpu) {
  const LoadedProgram &program = *step.prepared.program;
  nysjit_run_args args = arguments.of(step.spec);
  args.saved = step.spec.pass == Pass::Forward ? nullptr : saved.get();
  args.saved_size = args.saved ? saved.bytes() : 0;
  Result<MemorySizes> sizes = program.sizes(args);
  if (!sizes)
    return namedByFlag(sizes.takeError());
  step.measured.workspaceBytes = sizes->workspace;

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
  std::ranges::sort(runs, {}, totalMs);
  step.measured.launches = runs[(runs.size() - 1) / 2];
  step.measured.kernelMs = (totalMs(step.measured.launches) + totalMs(runs[runs.size() / 2])) / 2;
  return {};
}

/// The programs of a run, in their order: of the spec, or with gradients of its forward and its
/// backward.
std::vector<KernelSpec> specsOf(const KernelSpec &spec, const RunOptions &options) {
  if (spec.pass != Pass::Backward)
    return {spec};
  KernelSpec forward = spec;
  forward.pass = options.isRecomputed ? Pass::Forward : Pass::Saving;
  return {forward, spec};
}

/// Runs all steps into `outputs`; gives the bytes that were kept between them.
Result<size_t> runSteps(std::vector<Step> &steps, const Inputs &inputs,
                        std::vector<RunOutput> &outputs, float scale, const RunOptions &options,
                        const GpuSession *gpu) {
  Result<std::unique_ptr<RunArguments>> arguments =
      RunArguments::create(inputs, outputs, scale, gpu);
  NYSJIT_RETURN_IF_ERROR(arguments);
  SavedMemory saved;
  const Step &first = steps.front();
  if (first.spec.pass == Pass::Saving) {
    Result<MemorySizes> sizes = first.prepared.program->sizes((*arguments)->of(first.spec));
    if (!sizes)
      return namedByFlag(sizes.takeError());
    NYSJIT_RETURN_IF_ERROR(saved.allocate(sizes->saved, gpu));
  }
  for (Step &step : steps)
    NYSJIT_RETURN_IF_ERROR(runStep(step, **arguments, saved, options.repeat, gpu));
  NYSJIT_RETURN_IF_ERROR((*arguments)->fetch(outputs));
  return saved.bytes();
}

/// One output beside the float64 reference.
struct Checked {
  const TensorRow *row;
  double error = 0;
  double bound = 0;
  bool isWithin() const { return error <= bound; } // a NaN is not
};

/// Compares the outputs with the float64 reference on the inputs as they were rounded.
Result<std::vector<Checked>> check(const KernelSpec &spec, bool isGpu, const Inputs &inputs,
                                   const std::vector<RunOutput> &outputs, double scale) {
  Progress progress("computing the float64 reference");
  const ReferenceCase exact(spec, inputs, scale);
  Result<std::vector<double>> reference = reference::compute(exact.input());
  NYSJIT_RETURN_IF_ERROR(reference);
  reference::Gradients gradients;
  if (spec.pass == Pass::Backward) {
    Result<reference::Gradients> computed = reference::gradients(exact.input());
    NYSJIT_RETURN_IF_ERROR(computed);
    gradients = std::move(*computed);
  }
  std::vector<Checked> checked;
  for (const RunOutput &output : outputs) {
    const std::vector<float> found = output.tensor.toFloats();
    if (const auto member = reference::gradientTensor(output.row->name)) {
      const double error = reference::gradientError(found, gradients.*member, gradients.doutNorm);
      checked.push_back(
          {output.row, error,
           reference::gradientBound(exact.input(), isGpu, gradients, output.row->name, error)});
    } else
      checked.push_back({output.row, reference::relativeError(found, *reference),
                         reference::errorBound(exact.input(), isGpu)});
  }
  return checked;
}

/// CheckFailed where an error is over its bound. The message says what was written all the same.
Status verdict(const std::vector<Checked> &checked, const RunOptions &options) {
  const auto over = std::ranges::find_if_not(checked, &Checked::isWithin);
  if (over == checked.end())
    return {};
  Error error = Error::mismatch(ErrorKind::CheckFailed, "--check",
                                "a relative error of at most " + format("%g", over->bound) +
                                    " for " + over->row->name,
                                format("%.3g", withoutSign(over->error)));
  error.message += std::string("; ") + over->row->flag + " " +
                   describeName(options.tensors.find(over->row->name)->second) + " was written";
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

std::string reportText(const RunOptions &options, const std::vector<Step> &steps,
                       const Inputs &inputs, const std::vector<Checked> &checked) {
  const KernelSpec &spec = steps.front().spec;
  const PreparedProgram &prepared = steps.front().prepared;
  const bool isCompiled = prepared.cache == CacheState::Compiled;
  const std::string cache = cacheStateName(prepared.cache);
  std::string text = std::string(layoutName(spec.layout)) + " " + dtypeName(spec.dtype) + " on " +
                     deviceName(options.device) + " (" + prepared.program->plan().target + ")\n";
  text += "  program   " + std::string(isCompiled ? "compiled in " : cache + ", loaded in ") +
          format("%.1f ms\n", isCompiled ? prepared.compileMs : prepared.loadMs);
  text += "  tensors   q " + shapeText(inputs.at("q").shape) + ", k and v " +
          shapeText(inputs.at("k").shape) + "\n";
  for (const Step &step : steps) {
    text += "  kernels   " + format("%.3f ms", step.measured.kernelMs) +
            (options.repeat > 1 ? ", median of " + std::to_string(options.repeat) : "") +
            (steps.size() > 1 ? std::string(", ") + passName(step.spec.pass) : "") + "\n";
    for (const LaunchRecord &launch : step.measured.launches)
      text += "    " + launch.kernel + " x " + std::to_string(launch.grid) +
              format("  %.3f ms\n", launch.ms);
  }
  for (const Checked &one : checked)
    text += "  error     " + format("%.3g against the float64 reference", withoutSign(one.error)) +
            (checked.size() > 1 ? std::string(" for ") + one.row->name : "") +
            format(" (bound %g)\n", one.bound);
  for (const TensorRow &row : tensorTable())
    if (const auto path = options.tensors.find(row.name);
        isOutput(row) && path != options.tensors.end())
      text += "  output    " + path->second + "\n";
  return text;
}

json stepJson(const Step &step, const RunOptions &options) {
  const LoadedProgram &program = *step.prepared.program;
  json report = {{"target", program.plan().target},
                 {"cache", cacheStateName(step.prepared.cache)},
                 {"load_ms", step.prepared.loadMs},
                 {"compile_ms", step.prepared.compileMs},
                 {"kernel_ms", step.measured.kernelMs},
                 {"workspace_bytes", step.measured.workspaceBytes},
                 {"scratch_bytes_per_thread", program.scratchBytes()},
                 {"config", parsed(program.configJson())},
                 {"config_source", step.prepared.configSource},
                 {"launches", launchesJson(step.measured.launches)}};
  if (options.device == DeviceKind::PtxEmulator)
    report["counts"] = totalCountsJson(step.measured.launches);
  if (!step.prepared.note.empty())
    report["note"] = step.prepared.note;
  return report;
}

json reportJson(const RunOptions &options, const std::vector<Step> &steps, size_t savedBytes,
                const std::vector<Checked> &checked) {
  json report = stepJson(steps.front(), options);
  report["device"] = deviceName(options.device);
  if (steps.front().spec.pass == Pass::Saving)
    report["saved_bytes"] = savedBytes;
  if (steps.size() > 1)
    report["backward"] = stepJson(steps.back(), options);
  for (const Checked &one : checked) {
    report["rel_error"][one.row->name] = one.error;
    report[reference::gradientTensor(one.row->name) ? "gradient_bound" : "bound"] = one.bound;
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

/// A spec's pass is what the flags ask for: with --dout gradients, too.
Status choosePass(const RunOptions &options, KernelSpec &spec) {
  if (options.tensors.contains("dout"))
    spec.pass = Pass::Backward;
  Result<KernelSpec> known = parseKernelSpec(canonicalJson(spec));
  return known ? Status() : Status(known.takeError());
}

} // namespace

Result<Reply> runTensors(const RunOptions &options) {
  // The request, whole: a wrong one is known before anything is compiled.
  Result<RequestFiles> files = readRequest(options.spec, options.config);
  NYSJIT_RETURN_IF_ERROR(files);
  NYSJIT_RETURN_IF_ERROR(choosePass(options, files->spec));
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

  // The programs, their runs, and what they computed.
  std::vector<Step> steps;
  for (const KernelSpec &stepSpec : specsOf(spec, options)) {
    // A backward program has the forward's kernels, too: the config given is its.
    const bool isLast = stepSpec.pass == spec.pass;
    Result<Resolved> resolved =
        resolve(context, {stepSpec, isLast ? files->config : ConfigChoice()}, options.target,
                isLast && options.isConfigRequired);
    NYSJIT_RETURN_IF_ERROR(resolved);
    if (*gpu)
      NYSJIT_RETURN_IF_ERROR(
          (*gpu)->configure({options.isLazy, options.seed}, resolved->request.target));
    Result<PreparedProgram> prepared = prepare(context, *resolved);
    NYSJIT_RETURN_IF_ERROR(prepared);
    steps.push_back({stepSpec, std::move(*prepared), {}});
  }
  Result<size_t> savedBytes = runSteps(steps, *inputs, *outputs, scale, options, gpu->get());
  NYSJIT_RETURN_IF_ERROR(savedBytes);
  std::vector<Checked> checked;
  if (options.check) {
    Result<std::vector<Checked>> result = check(spec, *gpu != nullptr, *inputs, *outputs, scale);
    NYSJIT_RETURN_IF_ERROR(result);
    checked = std::move(*result);
  }
  for (const RunOutput &output : *outputs)
    NYSJIT_RETURN_IF_ERROR(output.file.write(npyFile(output.tensor)));
  NYSJIT_RETURN_IF_ERROR(verdict(checked, options));
  Reply reply{.json = reportJson(options, steps, *savedBytes, checked),
              .text = reportText(options, steps, *inputs, checked)};
  reply.isOutputTaken = std::ranges::any_of(
      *outputs, [](const RunOutput &output) { return output.file.isStandardOutput(); });
  return reply;
}

} // namespace nysjit::cli
