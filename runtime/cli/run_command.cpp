// `nysjit run`: tensors in, the program over them, the check, the output. Nothing is written before all of it went
// well.
#include "runtime/cli/check.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

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
  double kernelMs = 0;                        // the median of the runs' sums
  std::vector<nysjit_launch_timing> launches; // of the run in the middle
  size_t workspaceBytes = 0;
};

double totalMs(const std::vector<nysjit_launch_timing> &launches) {
  return std::accumulate(launches.begin(), launches.end(), 0.0,
                         [](double sum, const nysjit_launch_timing &launch) { return sum + launch.ms; });
}

/// The API calls a tensor by its letter; here it is known by its flag.
Status checkRun(nysjit_status status) {
  Status checked = checkStatus(status);
  if (checked)
    return checked;
  Error error = checked.takeError();
  for (const char *name : {"q", "k", "v", "o"})
    if (error.where == name || error.where.starts_with(name + std::string("."))) {
      std::string dashes = error.where[0] == 'o' ? "-" : "--";
      if (error.message.starts_with(error.where + ":"))
        error.message = dashes + error.message;
      error.where = dashes + error.where;
      break;
    }
  return error;
}

/// Runs the program `repeat` times into `o`.
Result<Measured> runProgram(const Program &program, const Inputs &inputs, Tensor &o, float scale, int repeat) {
  TensorView q(inputs.q), k(inputs.k), v(inputs.v), out(o);
  nysjit_run_args args{};
  args.size = sizeof args;
  args.q = q.get();
  args.k = k.get();
  args.v = v.get();
  args.o = out.get();
  args.scale = &scale;
  Measured measured;
  NYSJIT_RETURN_IF_ERROR(checkRun(nysjit_workspace_size(program.get(), &args, &measured.workspaceBytes)));

  Progress progress(repeat == 1 ? "running" : "running " + std::to_string(repeat) + " times");
  std::vector<std::vector<nysjit_launch_timing>> runs;
  size_t launchCount = parsed(program.info().plan_json).value("launches", json::array()).size();
  for (int i = 0; i < repeat; ++i) {
    std::vector<nysjit_launch_timing> launches(launchCount);
    size_t count = 0;
    args.timings = launches.data();
    args.timing_capacity = launches.size();
    args.timing_count = &count;
    NYSJIT_RETURN_IF_ERROR(checkRun(nysjit_run(program.get(), &args, nullptr)));
    launches.resize(std::min(count, launches.size()));
    runs.push_back(std::move(launches));
  }
  std::ranges::sort(runs, {}, totalMs);
  measured.launches = runs[(runs.size() - 1) / 2];
  measured.kernelMs = (totalMs(measured.launches) + totalMs(runs[runs.size() / 2])) / 2;
  return measured;
}

struct Checked {
  double error = 0, bound = 0;
};

/// Compares with the float64 reference on the inputs as they were rounded; CheckFailed beyond the bound.
Result<Checked> check(const KernelSpec &spec, const Inputs &inputs, const Tensor &o, double scale) {
  Progress progress("computing the float64 reference");
  std::vector<double> q = inputs.q.toDoubles(), k = inputs.k.toDoubles(), v = inputs.v.toDoubles();
  Result<std::vector<double>> reference = referenceOutput(spec, inputs.extents, q, k, v, scale);
  NYSJIT_RETURN_IF_ERROR(reference);
  Checked checked;
  checked.error = relativeError(o.floats(), *reference);
  bool isLarge = spec.dtype == DType::Float32 && hasLargeScores(q, k, inputs.extents, scale);
  checked.bound = errorBound(spec.dtype, isLarge);
  if (!(checked.error <= checked.bound)) // a NaN fails
    return Error::mismatch(ErrorKind::CheckFailed, "--check",
                           "a relative error of at most " + format("%g", checked.bound) + " for o",
                           format("%.3g", checked.error));
  return checked;
}

json launchesJson(const std::vector<nysjit_launch_timing> &launches) {
  json list = json::array();
  for (const nysjit_launch_timing &launch : launches) // on the CPU one thread works on one program of the grid
    list.push_back({{"kernel", launch.kernel}, {"grid", launch.grid}, {"block", 1}, {"ms", launch.ms}});
  return list;
}

std::string report(const RunOptions &options, const Request &request, const Program &program, const Inputs &inputs,
                   const Measured &measured, const std::optional<Checked> &checked) {
  const nysjit_program_info &info = program.info();
  bool isCompiled = std::string_view(info.cache) == "compiled";
  std::string text = std::string(layoutName(request.spec.layout)) + " " + dtypeName(request.spec.dtype) + " on cpu (" +
                     info.target + ")\n";
  text += "  program   " + std::string(isCompiled ? "compiled in " : std::string(info.cache) + ", loaded in ") +
          format("%.1f ms\n", isCompiled ? info.compile_ms : info.load_ms);
  text += "  tensors   q " + shapeText(inputs.q.shape) + ", k and v " + shapeText(inputs.k.shape) + "\n";
  text += "  kernels   " + format("%.3f ms", measured.kernelMs) +
          (options.repeat > 1 ? ", median of " + std::to_string(options.repeat) : "") + "\n";
  for (const nysjit_launch_timing &launch : measured.launches)
    text +=
        "    " + std::string(launch.kernel) + " x " + std::to_string(launch.grid) + format("  %.3f ms\n", launch.ms);
  if (checked)
    text += "  error     " + format("%.3g against the float64 reference", checked->error) +
            format(" (bound %g)\n", checked->bound);
  return text + "  output    " + options.output + "\n";
}

} // namespace

Result<Reply> runTensors(const RunOptions &options) {
  // The request, whole: a wrong one is known before anything is compiled.
  Result<Request> request = readRequest(options.spec, options.config, options.target);
  NYSJIT_RETURN_IF_ERROR(request);
  const KernelSpec &spec = request->spec;
  Result<OutputFile> output = OutputFile::create("-o", options.output);
  NYSJIT_RETURN_IF_ERROR(output);
  Result<Inputs> inputs = loadInputs(spec, options.q, options.k, options.v);
  NYSJIT_RETURN_IF_ERROR(inputs);
  Tensor o = Tensor::zeros(inputs->q.shape, DType::Float32);
  float scale = options.scale.value_or(float(1 / std::sqrt(double(spec.headDim))));

  // The program, its runs, and what they computed.
  Result<Program> program = Program::prepare(*request, options.threads);
  NYSJIT_RETURN_IF_ERROR(program);
  Result<Measured> measured = runProgram(*program, *inputs, o, scale, options.repeat);
  NYSJIT_RETURN_IF_ERROR(measured);
  std::optional<Checked> checked;
  if (options.check) {
    Result<Checked> result = check(spec, *inputs, o, scale);
    NYSJIT_RETURN_IF_ERROR(result);
    checked = *result;
  }
  NYSJIT_RETURN_IF_ERROR(output->write(npyFile(o)));

  const nysjit_program_info &info = program->info();
  Reply reply;
  reply.json = {{"device", "cpu"},
                {"target", info.target},
                {"cache", info.cache},
                {"load_ms", info.load_ms},
                {"compile_ms", info.compile_ms},
                {"kernel_ms", measured->kernelMs},
                {"workspace_bytes", measured->workspaceBytes},
                {"scratch_bytes_per_thread", info.scratch_bytes_per_thread},
                {"config", parsed(info.config_json)},
                {"launches", launchesJson(measured->launches)}};
  if (checked) {
    reply.json["rel_error"]["o"] = checked->error;
    reply.json["bound"] = checked->bound;
  }
  reply.text = report(options, *request, *program, *inputs, *measured, checked);
  return reply;
}

} // namespace nysjit::cli
