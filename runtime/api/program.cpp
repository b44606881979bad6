// The C struct's named tensors in the order of the plan's arguments, and the default scale.
#include "runtime/api/program.h"
#include "runtime/device/cpu_program.h"

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>

namespace nysjit {

namespace {

/// The tensors a caller can pass, by the name that plans use.
struct TensorField {
  const char *name;
  const DLTensor *nysjit_run_args::*field;
};
constexpr TensorField tensorFields[] = {
    {"q", &nysjit_run_args::q},
    {"k", &nysjit_run_args::k},
    {"v", &nysjit_run_args::v},
    {"o", &nysjit_run_args::o},
    {"landmark_q", &nysjit_run_args::landmark_q},
    {"landmark_k", &nysjit_run_args::landmark_k},
    {"conv", &nysjit_run_args::conv},
    {"cu_seqlens", &nysjit_run_args::cu_seqlens},
    {"seqlens", &nysjit_run_args::seqlens},
    {"seq_starts", &nysjit_run_args::seq_starts},
    {"source_len", &nysjit_run_args::source_len},
    {"row_log_sum_exp", &nysjit_run_args::row_log_sum_exp},
    {"saved_landmark_key", &nysjit_run_args::saved_landmark_key},
    {"saved_landmark_bias", &nysjit_run_args::saved_landmark_bias},
    {"saved_landmark_value", &nysjit_run_args::saved_landmark_value},
};
static_assert(std::size(tensorFields) <= 32, "usedFields has a bit for each");

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

} // namespace

Result<std::shared_ptr<const LoadedProgram>> LoadedProgram::load(std::string key, CacheEntry entry,
                                                                 const Place &place) {
  Result<Plan> plan = planFromJson(entry.planJson);
  if (!plan)
    return plan.takeError();
  std::shared_ptr<LoadedProgram> loaded(new LoadedProgram);
  const nlohmann::json spec = nlohmann::json::parse(plan->specJson, nullptr, false);
  if (const auto headDim = spec.find("head_dim");
      headDim != spec.end() && headDim->is_number_integer() && headDim->get<int64_t>() > 0)
    loaded->defaultScale =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(headDim->get<int64_t>())));
  if (const nlohmann::json info = nlohmann::json::parse(entry.infoJson, nullptr, false);
      info.is_object()) {
    if (const auto found = info.find("config"); found != info.end())
      loaded->config = found->dump();
    if (const auto found = info.find("kernels"); found != info.end())
      loaded->kernels = found->dump();
  }
  loaded->entryKey = std::move(key);
  loaded->entry = std::move(entry);
  NYSJIT_RETURN_IF_ERROR(loaded->loadOnto(std::move(*plan), place));
  NYSJIT_RETURN_IF_ERROR(loaded->mapArguments());
  return std::shared_ptr<const LoadedProgram>(std::move(loaded));
}

Status LoadedProgram::loadOnto(Plan plan, const Place &place) {
  if (isGpuPlan(plan)) {
    Result<std::unique_ptr<CudaProgram>> loaded =
        CudaProgram::load(std::move(plan), entry.object, entry.ptx, place.device);
    NYSJIT_RETURN_IF_ERROR(loaded);
    cuda = loaded->get();
    program = std::move(*loaded);
    return {};
  }
  Result<std::unique_ptr<DeviceProgram>> loaded =
      CpuProgram::load(std::move(plan), entry.object, place.privateFolder, place.threads);
  NYSJIT_RETURN_IF_ERROR(loaded);
  program = std::move(*loaded);
  return {};
}

Status LoadedProgram::loadIntoCurrent() const { return cuda ? cuda->loadIntoCurrent() : Status(); }

Status LoadedProgram::mapArguments() {
  for (const PlanArgument &argument : plan().arguments) {
    size_t row = 0;
    while (row < std::size(tensorFields) && argument.name != tensorFields[row].name)
      ++row;
    if (row == std::size(tensorFields))
      return Error::mismatch(ErrorKind::Unavailable, "program",
                             "arguments that nysjit_run_args has", "'" + argument.name + "'");
    fields.push_back(row);
    usedFields |= uint32_t(1) << row;
  }
  return {};
}

Status LoadedProgram::gather(const nysjit_run_args &args, const DLTensor **tensors) const {
  for (size_t i = 0; i < fields.size(); ++i)
    tensors[i] = args.*tensorFields[fields[i]].field;
  for (size_t row = 0; row < std::size(tensorFields); ++row)
    if (!(usedFields >> row & 1) && args.*tensorFields[row].field)
      return Error::mismatch(
          ErrorKind::InvalidArgument, tensorFields[row].name,
          "NULL (a program of layout " + plan().program + " has no such argument)", "a tensor");
  if (args.seed != 0 || args.offset != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, args.seed ? "seed" : "offset", "0",
                           "another number");
  return {};
}

Result<size_t> LoadedProgram::workspaceBytes(const nysjit_run_args &args) const {
  const DLTensor *tensors[maxPlanArguments];
  NYSJIT_RETURN_IF_ERROR(gather(args, tensors));
  return program->workspaceBytes(tensors, args.max_length);
}

Status LoadedProgram::run(const nysjit_run_args &args, void *stream,
                          const LaunchObserver *observer) const {
  const DLTensor *tensors[maxPlanArguments];
  NYSJIT_RETURN_IF_ERROR(gather(args, tensors));
  ProgramRun run;
  run.tensors = tensors;
  run.maxLength = args.max_length;
  run.stream = stream;
  run.scale = args.scale ? *args.scale : defaultScale;
  if (!std::isfinite(run.scale))
    return Error::mismatch(ErrorKind::InvalidArgument, "scale", "a finite number",
                           std::to_string(run.scale));
  if (!args.scale && defaultScale == 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "scale",
                           "a number (the program's spec has no head_dim)", "NULL");
  if (!args.workspace && args.workspace_size != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "workspace_size",
                           "0 where workspace is NULL", std::to_string(args.workspace_size));
  run.workspace = args.workspace;
  run.workspaceBytes = args.workspace_size;
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
