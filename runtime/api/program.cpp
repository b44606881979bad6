// The C struct's named tensors in the order of the plan's arguments, and the default scale.
#include "runtime/api/program.h"
#include "runtime/base/float_environment.h"
#include "runtime/device/cpu_program.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/scale.h"
#include "runtime/spec/tensor_table.h"

#include <cmath>
#include <cstddef>
#include <cstdio>

namespace nysjit {

namespace {

static_assert(maxTensors <= 32, "usedRows has a bit for each row of the table of tensors");

/// Collects launches into the caller's array.
struct TimingSink {
  const nysjit_run_args *args;
  size_t count = 0;
  static void observe(void *context, const char *kernel, int64_t grid, int64_t, double ms) {
    TimingSink &sink = *static_cast<TimingSink *>(context);
    if (sink.args->timings && sink.count < sink.args->timing_capacity)
      sink.args->timings[sink.count] = {kernel, grid, ms};
    ++sink.count;
  }
};

std::string scaleText(float scale) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", double(scale));
  return text;
}

} // namespace

Result<std::shared_ptr<const LoadedProgram>> LoadedProgram::load(std::string key, CacheEntry entry,
                                                                 const Resources &resources,
                                                                 const ProgramRequest *request) {
  Result<Plan> plan = planFromJson(entry.planJson);
  if (!plan)
    return plan.takeError();
  std::shared_ptr<LoadedProgram> loaded(new LoadedProgram);
  if (request && plan->specJson == request->specJson)
    loaded->defaultScale = static_cast<float>(1.0 / std::sqrt(double(request->spec.headDim)));
  if (const Result<Json> info = parseJsonObject(entry.infoJson)) {
    if (const Json *found = info->find("config"))
      loaded->config = found->dump();
    if (const Json *found = info->find("kernels"))
      loaded->kernels = found->dump();
  }
  loaded->entryKey = std::move(key);
  loaded->entry = std::move(entry);
  NYSJIT_RETURN_IF_ERROR(loaded->loadOnto(std::move(*plan), resources));
  NYSJIT_RETURN_IF_ERROR(loaded->mapArguments());
  return std::shared_ptr<const LoadedProgram>(std::move(loaded));
}

Status LoadedProgram::loadOnto(Plan plan, const Resources &resources) {
  if (isGpuPlan(plan)) {
    Result<std::unique_ptr<CudaProgram>> loaded =
        CudaProgram::load(std::move(plan), entry.object, entry.ptx, resources.device);
    NYSJIT_RETURN_IF_ERROR(loaded);
    cuda = loaded->get();
    program = std::move(*loaded);
    return {};
  }
  Result<std::unique_ptr<DeviceProgram>> loaded = CpuProgram::load(
      std::move(plan), entry.object, resources.privateFolder, resources.threads, resources.memory);
  NYSJIT_RETURN_IF_ERROR(loaded);
  program = std::move(*loaded);
  return {};
}

Status LoadedProgram::loadIntoCurrent() const { return cuda ? cuda->loadIntoCurrent() : Status(); }

Status LoadedProgram::mapArguments() {
  for (const PlanArgument &argument : plan().arguments) {
    const TensorRow *row = findTensor(argument.name);
    if (!row)
      return Error::mismatch(ErrorKind::Unavailable, "program",
                             "arguments that nysjit_run_args has", "'" + argument.name + "'");
    fields.push_back(row->field);
    usedRows |= uint32_t(1) << (row - tensorTable().data());
  }
  return {};
}

std::string LoadedProgram::reasonUnused(const TensorRow &row) const {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(plan().specJson));
  return spec ? tensorReason(row, *spec) : "layout " + plan().layout;
}

Status LoadedProgram::gather(const nysjit_run_args &args, const DLTensor **tensors) const {
  for (size_t i = 0; i < fields.size(); ++i)
    tensors[i] = args.*fields[i];
  const std::span<const TensorRow> table = tensorTable();
  for (size_t row = 0; row < table.size(); ++row)
    if (!(usedRows >> row & 1) && args.*table[row].field)
      return Error::mismatch(ErrorKind::InvalidArgument, table[row].name,
                             "NULL (a program with " + reasonUnused(table[row]) +
                                 " has no such argument)",
                             "a tensor");
  if (args.seed != 0 || args.offset != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, args.seed ? "seed" : "offset", "0",
                           "another number");
  return {};
}

Result<MemorySizes> LoadedProgram::sizes(const nysjit_run_args &args) const {
  const DLTensor *tensors[maxPlanArguments];
  NYSJIT_RETURN_IF_ERROR(gather(args, tensors));
  return program->sizes(tensors, args.max_length, args.saved != nullptr);
}

Status LoadedProgram::run(const nysjit_run_args &args, void *stream,
                          const LaunchObserver *observer) const {
  RunFloatEnvironment environment;
  const DLTensor *tensors[maxPlanArguments];
  NYSJIT_RETURN_IF_ERROR(gather(args, tensors));
  ProgramRun run;
  run.tensors = tensors;
  run.maxLength = args.max_length;
  run.stream = stream;
  run.environment = &environment;
  run.scale = args.scale ? *args.scale : defaultScale;
  if (!isScale(run.scale))
    return Error::mismatch(ErrorKind::InvalidArgument, "scale", expectedScale,
                           scaleText(run.scale));
  if (!args.scale && defaultScale == 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "scale",
                           "a number (the program's spec has no head_dim)", "NULL");
  if (!args.workspace && args.workspace_size != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "workspace_size",
                           "0 where workspace is NULL", std::to_string(args.workspace_size));
  run.workspace = args.workspace;
  run.workspaceBytes = args.workspace_size;
  if (!args.saved && args.saved_size != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "saved_size", "0 where saved is NULL",
                           std::to_string(args.saved_size));
  run.saved = args.saved;
  run.savedBytes = args.saved_size;
  if (!args.timings && args.timing_capacity != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "timings",
                           "room for timing_capacity launches", "NULL");
  TimingSink sink{&args};
  const bool isTimed = !observer && (args.timings || args.timing_count);
  if (observer)
    run.observer = *observer;
  else if (isTimed)
    run.observer = {&TimingSink::observe, nullptr, &sink};
  Status status = program->run(run);
  if (status.ok() && isTimed && args.timing_count)
    *args.timing_count = sink.count;
  return status;
}

} // namespace nysjit
