// `nysjit run`: tensors in, the program over them, the check, the output. Nothing is written before
// all of it went well.
#include "runtime/cli/check.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/gpu.h"
#include "runtime/cli/inputs.h"
#include "runtime/cli/launches.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <list>

namespace nysjit::cli {

using nlohmann::json;

namespace {

json parsed(const char *text) { return json::parse(text, nullptr, /*allow_exceptions=*/false); }

std::string format(const char *pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

/// What the runs came to.
struct Measured {
  double kernelMs = 0;                // the median of the runs' sums
  std::vector<LaunchRecord> launches; // of the run in the middle
  size_t workspaceBytes = 0;
};

/// The tensors of a run as the program takes them: in this process's memory, or copied to a GPU's.
struct Placed {
  std::list<TensorView> views;
  std::list<std::unique_ptr<GpuTensor>> copies; // that of o first
  nysjit_run_args args{};
};

Result<std::unique_ptr<Placed>> place(const Inputs &inputs, const Tensor &o, const float &scale,
                                      const GpuSession *gpu) {
  auto placed = std::make_unique<Placed>();
  placed->args.size = sizeof placed->args;
  placed->args.scale = &scale;
  placed->args.max_length = inputs.maxLength;
  const auto optional = [](const std::optional<Tensor> &tensor) {
    return tensor ? &*tensor : nullptr;
  };
  const std::pair<const DLTensor * nysjit_run_args::*, const Tensor *> tensors[] = {
      {&nysjit_run_args::o, &o},
      {&nysjit_run_args::q, &inputs.q},
      {&nysjit_run_args::k, &inputs.k},
      {&nysjit_run_args::v, &inputs.v},
      {&nysjit_run_args::landmark_q, optional(inputs.landmarkQ)},
      {&nysjit_run_args::landmark_k, optional(inputs.landmarkK)},
      {&nysjit_run_args::conv, optional(inputs.conv)},
      {&nysjit_run_args::cu_seqlens, optional(inputs.cuSeqlens)},
      {&nysjit_run_args::seqlens, optional(inputs.seqlens)},
      {&nysjit_run_args::source_len, optional(inputs.sourceLen)}};
  for (const auto &[field, tensor] : tensors) {
    if (!tensor)
      continue;
    if (!gpu) {
      placed->args.*field = placed->views.emplace_back(*tensor).get();
      continue;
    }
    Result<std::unique_ptr<GpuTensor>> copy = GpuTensor::create(*gpu, *tensor);
    NYSJIT_RETURN_IF_ERROR(copy);
    placed->args.*field = placed->copies.emplace_back(std::move(*copy))->get();
  }
  return placed;
}

/// Runs the program `repeat` times into `o`. Without `gpu` on the CPU.
Result<Measured> runProgram(const Program &program, const Inputs &inputs, Tensor &o, float scale,
                            int repeat, const GpuSession *gpu) {
  Result<std::unique_ptr<Placed>> placed = place(inputs, o, scale, gpu);
  NYSJIT_RETURN_IF_ERROR(placed);
  const nysjit_run_args &args = (*placed)->args;
  Measured measured;
  Result<size_t> workspace = program.loaded().workspaceBytes(args);
  if (!workspace)
    return namedByFlag(workspace.takeError());
  measured.workspaceBytes = *workspace;

  Progress progress(repeat == 1 ? "running" : "running " + std::to_string(repeat) + " times");
  std::vector<std::vector<LaunchRecord>> runs;
  LaunchRecorder recorder(gpu ? gpu->lastCounts() : nullptr);
  const LaunchObserver observer = recorder.observer();
  for (int i = 0; i < repeat; ++i) {
    if (Status status = program.loaded().run(args, nullptr, &observer); !status)
      return namedByFlag(status.takeError());
    if (gpu)
      NYSJIT_RETURN_IF_ERROR(gpu->checkLaunches());
    runs.push_back(recorder.take());
  }
  if (gpu)
    NYSJIT_RETURN_IF_ERROR((*placed)->copies.front()->copyTo(o));
  std::ranges::sort(runs, {}, totalMs);
  measured.launches = runs[(runs.size() - 1) / 2];
  measured.kernelMs = (totalMs(measured.launches) + totalMs(runs[runs.size() / 2])) / 2;
  return measured;
}

struct Checked {
  double error = 0;
  double bound = 0;
};

/// Compares with the float64 reference on the inputs as they were rounded; CheckFailed beyond the
/// bound.
Result<Checked> check(const KernelSpec &spec, bool isGpu, const Inputs &inputs, const Tensor &o,
                      double scale) {
  Progress progress("computing the float64 reference");
  const ReferenceCase exact(spec, inputs, scale);
  Result<std::vector<double>> reference = reference::compute(exact.input());
  NYSJIT_RETURN_IF_ERROR(reference);
  Checked checked;
  checked.error = relativeError(o.floats(), *reference);
  bool isLarge = spec.dtype == DType::Float32 && hasLargeScores(exact.input());
  checked.bound = errorBound(spec, isGpu, isLarge);
  if (!(checked.error <= checked.bound)) // a NaN fails
    return Error::mismatch(ErrorKind::CheckFailed, "--check",
                           "a relative error of at most " + format("%g", checked.bound) + " for o",
                           format("%.3g", checked.error));
  return checked;
}

std::string report(const RunOptions &options, const Request &request, const Program &program,
                   const Inputs &inputs, const Measured &measured,
                   const std::optional<Checked> &checked) {
  const nysjit_program_info &info = program.info();
  bool isCompiled = std::string_view(info.cache) == "compiled";
  std::string text = std::string(layoutName(request.spec.layout)) + " " +
                     dtypeName(request.spec.dtype) + " on " + deviceName(options.device) + " (" +
                     info.target + ")\n";
  text += "  program   " +
          std::string(isCompiled ? "compiled in " : std::string(info.cache) + ", loaded in ") +
          format("%.1f ms\n", isCompiled ? info.compile_ms : info.load_ms);
  text += "  tensors   q " + shapeText(inputs.q.shape) + ", k and v " + shapeText(inputs.k.shape) +
          "\n";
  text += "  kernels   " + format("%.3f ms", measured.kernelMs) +
          (options.repeat > 1 ? ", median of " + std::to_string(options.repeat) : "") + "\n";
  for (const LaunchRecord &launch : measured.launches)
    text += "    " + launch.kernel + " x " + std::to_string(launch.grid) +
            format("  %.3f ms\n", launch.ms);
  if (checked)
    text += "  error     " + format("%.3g against the float64 reference", checked->error) +
            format(" (bound %g)\n", checked->bound);
  return text + "  output    " + options.output + "\n";
}

} // namespace

Result<Reply> runTensors(const RunOptions &options) {
  // The request, whole: a wrong one is known before anything is compiled.
  Result<Request> request =
      readRequest(options.spec, options.config, options.target.value_or(Target()));
  NYSJIT_RETURN_IF_ERROR(request);
  const KernelSpec &spec = request->spec;
  Result<OutputFile> output = OutputFile::create("-o", options.output);
  NYSJIT_RETURN_IF_ERROR(output);
  Result<Inputs> inputs = loadInputs(spec, options.inputs);
  NYSJIT_RETURN_IF_ERROR(inputs);
  Tensor o = Tensor::zeros(inputs->q.shape, DType::Float32);
  float scale = options.scale.value_or(float(1 / std::sqrt(double(spec.headDim))));

  // The device, which may not be there.
  Result<Host> host =
      Host::create({.threads = static_cast<size_t>(options.threads), .device = options.device});
  NYSJIT_RETURN_IF_ERROR(host);
  std::unique_ptr<GpuSession> gpu; // null on the CPU
  if (options.device != DeviceKind::Cpu) {
    Result<std::shared_ptr<CudaDevice>> device = host->runtime().cudaDevice();
    NYSJIT_RETURN_IF_ERROR(device);
    Result<std::unique_ptr<GpuSession>> session = GpuSession::open(*device);
    NYSJIT_RETURN_IF_ERROR(session);
    gpu = std::move(*session);
  }
  if (!options.target) {
    Result<Target> target = host->runtime().defaultTarget();
    NYSJIT_RETURN_IF_ERROR(target);
    request->target = *target;
  }
  if (gpu)
    NYSJIT_RETURN_IF_ERROR(gpu->configure(options, request->target));

  // The program, its runs, and what they computed.
  Result<Program> program = Program::prepare(*host, *request);
  NYSJIT_RETURN_IF_ERROR(program);
  Result<Measured> measured = runProgram(*program, *inputs, o, scale, options.repeat, gpu.get());
  NYSJIT_RETURN_IF_ERROR(measured);
  std::optional<Checked> checked;
  if (options.check) {
    Result<Checked> result = check(spec, gpu != nullptr, *inputs, o, scale);
    NYSJIT_RETURN_IF_ERROR(result);
    checked = *result;
  }
  NYSJIT_RETURN_IF_ERROR(output->write(npyFile(o)));

  const nysjit_program_info &info = program->info();
  Reply reply;
  reply.json = {{"device", deviceName(options.device)},
                {"target", info.target},
                {"cache", info.cache},
                {"load_ms", info.load_ms},
                {"compile_ms", info.compile_ms},
                {"kernel_ms", measured->kernelMs},
                {"workspace_bytes", measured->workspaceBytes},
                {"scratch_bytes_per_thread", info.scratch_bytes_per_thread},
                {"config", parsed(info.config_json)},
                {"launches", launchesJson(measured->launches)}};
  if (options.device == DeviceKind::PtxEmulator)
    reply.json["counts"] = totalCountsJson(measured->launches);
  if (checked) {
    reply.json["rel_error"]["o"] = checked->error;
    reply.json["bound"] = checked->bound;
  }
  reply.text = report(options, *request, *program, *inputs, *measured, checked);
  return reply;
}

} // namespace nysjit::cli
