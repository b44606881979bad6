// Running on a GPU, timing by graphs and events, counting on the emulator.
#include "runtime/tune/gpu_lab.h"
#include "runtime/configs/device_facts.h"
#include "runtime/gpu/launch_recorder.h"
#include "runtime/tune/cpu_lab.h"
#include "runtime/tune/emulator_model.h"

#include <algorithm>
#include <cmath>

namespace nysjit::tune {

namespace {

constexpr double warmUpSeconds = 0.05;
/// A sample is at least so long, so that the events' resolution (0.5 us) does not matter.
constexpr double leastSampleMs = 0.2;
constexpr int mostCalls = 64;

} // namespace

Result<std::unique_ptr<Lab>> createLab(const KernelSpec &spec, const TuneFile &file, int threads,
                                       const std::atomic<int> &isEnding,
                                       const LabOptions &options) {
  return file.device == deviceName(DeviceKind::Cpu)
             ? CpuLab::create(spec, file, threads, isEnding, options)
             : GpuLab::create(spec, file, isEnding, options);
}

Result<std::unique_ptr<Lab>> GpuLab::create(const KernelSpec &spec, const TuneFile &file,
                                            const std::atomic<int> &isEnding,
                                            const LabOptions &options) {
  Result<DeviceKind> kind = parseDevice(file.device);
  NYSJIT_RETURN_IF_ERROR(kind);
  std::unique_ptr<GpuLab> lab(new GpuLab(spec, file, *kind, 1, isEnding, options));
  NYSJIT_RETURN_IF_ERROR(lab->openGpu(*kind));
  return std::unique_ptr<Lab>(std::move(lab));
}

Status GpuLab::openGpu(DeviceKind kind) {
  Result<std::shared_ptr<CudaDevice>> device = context.cudaDevice();
  NYSJIT_RETURN_IF_ERROR(device);
  Result<Target> target = file.target ? Result<Target>(*file.target) : context.defaultTarget();
  NYSJIT_RETURN_IF_ERROR(target);
  capability = target->sm;
  Result<std::unique_ptr<GpuSession>> opened = GpuSession::open(*device);
  NYSJIT_RETURN_IF_ERROR(opened);
  session = std::move(*opened);
  NYSJIT_RETURN_IF_ERROR(session->configure({.seed = file.seed}, *target));
  Result<std::unique_ptr<GpuStream>> made = GpuStream::create(*session);
  NYSJIT_RETURN_IF_ERROR(made);
  stream = std::move(*made);
  sets.resize(file.shapes.size());
  own.isModel = kind == DeviceKind::PtxEmulator;
  if (own.isModel)
    return open(*target, emulatorFacts(), {{"model", gpuRates(capability).gpu}});
  const CudaGpu gpu = session->gpu();
  own.lock = "gpu-" + session->pciBusId();
  clock.emplace(session->pciBusId());
  Json about = {{"gpu", gpu.name}, {"cuda_driver", session->driver().version()}};
  return open(*target, gpuFacts(gpu.capability, gpu.multiprocessors, gpu.memoryBytes),
              std::move(about));
}

void GpuLab::release(size_t program) {
  std::erase_if(graphs, [&](const auto &one) { return one.first.first == program; });
  std::erase_if(models, [&](const auto &one) { return one.first.first == program; });
  RuntimeLab::release(program); // its kernels, which the graphs hold on to
}

void GpuLab::beginSeries(const std::string &) {
  isWarm = false;
  megahertz.reset();
}

Status GpuLab::usable() {
  return session->driver().check(session->driver().api().cuCtxSynchronize(), "cuCtxSynchronize");
}

void GpuLab::noteClock() {
  const std::optional<int> now = clock ? clock->megahertz() : std::nullopt;
  if (!now)
    return;
  if (!megahertz)
    megahertz.emplace(*now, *now);
  megahertz->first = std::min(megahertz->first, *now);
  megahertz->second = std::max(megahertz->second, *now);
}

Json GpuLab::conditions() {
  if (!megahertz)
    return Json::object();
  return {{"sm_clock_mhz", Json::array({megahertz->first, megahertz->second})}};
}

Result<std::unique_ptr<GpuLab::Tensors>> GpuLab::tensorsOf(size_t shape) {
  auto tensors = std::make_unique<Tensors>();
  tensors->args = inputsOf(shape).args();
  for (const TensorRow &row : tensorTable()) {
    const DLTensor *host = tensors->args.*row.field;
    if (!host)
      continue;
    Result<std::unique_ptr<GpuTensor>> copy = GpuTensor::create(*session, *host);
    NYSJIT_RETURN_IF_ERROR(copy);
    tensors->args.*row.field = (*copy)->get();
    tensors->all.push_back(std::move(*copy));
  }
  NYSJIT_RETURN_IF_ERROR(addSaved(tensors->args, tensors->saved, session.get(), stream->get()));
  NYSJIT_RETURN_IF_ERROR(finish());
  return tensors;
}

/// One, or where caches are to be cold as many as are twice the L2 beside the one in use.
Result<const std::vector<std::unique_ptr<GpuLab::Tensors>> *> GpuLab::setsOf(size_t shape) {
  std::vector<std::unique_ptr<Tensors>> &all = sets[shape];
  size_t bytes = 0;
  const auto isEnough = [&] {
    return !file.isCold || all.size() >= size_t(mostCalls) || bytes > 2 * session->l2Bytes();
  };
  if (!all.empty())
    return &all;
  do {
    Result<std::unique_ptr<Tensors>> tensors = tensorsOf(shape);
    NYSJIT_RETURN_IF_ERROR(tensors);
    if (!all.empty())
      for (const std::unique_ptr<GpuTensor> &tensor : (*tensors)->all)
        bytes += tensor->bytes();
    all.push_back(std::move(*tensors));
  } while (!isEnough());
  return &all;
}

Status GpuLab::launch(size_t number, const Tensors &tensors, const LaunchObserver *observer) {
  return program(number).run(tensors.args, stream->get(), observer);
}

/// Waits; what the emulator found is an error, and not in the way of what follows.
Status GpuLab::finish() {
  NYSJIT_RETURN_IF_ERROR(stream->synchronize());
  Status checked = session->checkLaunches();
  if (!checked)
    session->forgetFaults();
  return checked;
}

Result<RunTime> GpuLab::run(size_t program, size_t shape) {
  return own.isModel ? model(program, shape) : measure(program, shape);
}

/// The same whenever it is asked for, and so asked for once.
Result<RunTime> GpuLab::model(size_t program, size_t shape) {
  const Key key(program, shape);
  if (const auto known = models.find(key); known != models.end())
    return known->second;
  Result<const std::vector<std::unique_ptr<Tensors>> *> tensors = setsOf(shape);
  NYSJIT_RETURN_IF_ERROR(tensors);
  LaunchRecorder recorder(session->lastCounts());
  const LaunchObserver observer = recorder.observer();
  Status launched = launch(program, *(*tensors)->front(), &observer);
  const Status finished = finish();
  NYSJIT_RETURN_IF_ERROR(launched);
  if (!finished)
    return finished.error();
  RunTime time;
  for (const LaunchRecord &record : recorder.take()) {
    const double ms = record.counts ? modelMs(*record.counts, gpuRates(capability), spec.dtype) : 0;
    for (Time *sum : {&time.whole, &time.kernels[record.kernel]}) {
      sum->wallMs += ms;
      sum->cpuMs += ms;
    }
  }
  return models.emplace(key, std::move(time)).first->second;
}

/// Clocks rise under load: a series begins with some of it.
Status GpuLab::warmUp(size_t program, size_t shape) {
  if (isWarm)
    return {};
  const double until = seconds() + warmUpSeconds;
  do {
    NYSJIT_RETURN_IF_ERROR(launch(program, *sets[shape].front()));
    NYSJIT_RETURN_IF_ERROR(stream->synchronize());
  } while (seconds() < until);
  isWarm = true;
  return {};
}

Result<const GpuGraph *> GpuLab::graphOf(size_t program, size_t shape) {
  std::unique_ptr<GpuGraph> &graph = graphs[Key(program, shape)];
  if (graph)
    return graph.get();
  const std::vector<std::unique_ptr<Tensors>> &all = sets[shape];
  const auto call = [&](int number) { return launch(program, *all[size_t(number) % all.size()]); };
  Result<std::unique_ptr<GpuGraph>> once = GpuGraph::capture(*stream, 1, call);
  NYSJIT_RETURN_IF_ERROR(once);
  Result<double> ms = (*once)->ms();
  NYSJIT_RETURN_IF_ERROR(ms);
  const double calls = std::ceil(leastSampleMs / std::max(*ms, 1e-4));
  const int least = int(std::min<size_t>(all.size(), size_t(mostCalls)));
  Result<std::unique_ptr<GpuGraph>> several =
      GpuGraph::capture(*stream, std::clamp(int(calls), least, mostCalls), call);
  NYSJIT_RETURN_IF_ERROR(several);
  graph = std::move(*several);
  return graph.get();
}

/// Kernels by events between them, behind two runs that keep the GPU busy while these are
/// enqueued; the whole as one graph.
Result<RunTime> GpuLab::measure(size_t program, size_t shape) {
  Result<const std::vector<std::unique_ptr<Tensors>> *> tensors = setsOf(shape);
  NYSJIT_RETURN_IF_ERROR(tensors);
  const Tensors &first = *(*tensors)->front();
  NYSJIT_RETURN_IF_ERROR(warmUp(program, shape));
  for (int i = 0; i < 2; ++i)
    NYSJIT_RETURN_IF_ERROR(launch(program, *(*tensors)->back()));
  LaunchRecorder recorder(nullptr);
  const LaunchObserver observer = recorder.observer();
  NYSJIT_RETURN_IF_ERROR(launch(program, first, &observer));
  NYSJIT_RETURN_IF_ERROR(stream->synchronize());
  Result<const GpuGraph *> graph = graphOf(program, shape);
  NYSJIT_RETURN_IF_ERROR(graph);
  Result<double> ms = (*graph)->ms();
  NYSJIT_RETURN_IF_ERROR(ms);
  noteClock();
  RunTime time;
  time.whole = {*ms, *ms};
  for (const LaunchRecord &record : recorder.take()) {
    Time &sum = time.kernels[record.kernel];
    sum.wallMs += record.ms;
    sum.cpuMs += record.ms;
  }
  return time;
}

Result<std::vector<RunOutput>> GpuLab::outputsOf(size_t program) {
  const size_t shape = smallestShape();
  Result<const std::vector<std::unique_ptr<Tensors>> *> tensors = setsOf(shape);
  NYSJIT_RETURN_IF_ERROR(tensors);
  const Tensors &first = *(*tensors)->front();
  const auto copyOf = [&](const RunOutput &output) -> const GpuTensor & {
    return **std::ranges::find(first.all, first.args.*output.row->field,
                               [](const auto &tensor) { return tensor->get(); });
  };
  std::vector<RunOutput> &outputs = inputsOf(shape).outputs();
  for (const RunOutput &output : outputs)
    NYSJIT_RETURN_IF_ERROR(copyOf(output).fill(0xff)); // NaN
  Status launched = launch(program, first);
  const Status finished = finish();
  NYSJIT_RETURN_IF_ERROR(launched);
  if (!finished)
    return finished.error();
  for (RunOutput &output : outputs)
    NYSJIT_RETURN_IF_ERROR(copyOf(output).copyTo(output.numbers.data()));
  return outputs;
}

} // namespace nysjit::tune
