// Compiling and running through RuntimeContext.
#include "runtime/tune/cpu_lab.h"
#include "runtime/api/stopwatch.h"
#include "runtime/cache/key.h"
#include "runtime/configs/device_facts.h"
#include "runtime/device/cpus.h"
#include "runtime/reference/accuracy.h"

#include <algorithm>
#include <ctime>
#include <sys/utsname.h>
#include <unistd.h>

namespace nysjit::tune {

namespace {

/// Of all threads of this process, those that wait for work awake included.
double cpuMs() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e3 + double(time.tv_nsec) / 1e6;
}

/// The launches of one run, by kernel.
struct Recorder {
  RunTime time;
  double cpu = cpuMs();
  static void observe(void *self, const char *kernel, int64_t, int64_t, double ms) {
    Recorder &recorder = *static_cast<Recorder *>(self);
    const double now = cpuMs();
    Time &own = recorder.time.kernels[kernel];
    own.wallMs += ms;
    own.cpuMs += now - recorder.cpu;
    recorder.cpu = now;
  }
};

/// Positions of a shape's tensors, all heads.
int64_t sizeOf(const TuneShape &shape) { return shape.length * shape.batch * shape.heads; }

Json aboutMachine() {
  utsname system = {};
  uname(&system);
  return {{"cpus", availableCpus()},
          {"l3_bytes", int64_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L))},
          {"os", std::string(system.sysname) + " " + system.release}};
}

} // namespace

CpuLab::CpuLab(const KernelSpec &given, const TuneFile &file, size_t threads,
               const std::atomic<int> &isEnding, Log log, size_t jobs)
    : spec(given), file(file), target(file.target.value_or(Target())), ending(isEnding), log(log),
      ahead(jobs), context({.cacheFolder = ahead.folder(),
                            .threads = threads,
                            .bundles = GivenBundles{},
                            .log = log,
                            .progress = &report,
                            .progressContext = this}) {
  inputs.resize(file.shapes.size());
  smallest = size_t(std::ranges::min_element(file.shapes, {}, sizeOf) - file.shapes.begin());
}

Result<std::unique_ptr<Lab>> CpuLab::create(const KernelSpec &spec, const TuneFile &file,
                                            int threads, const std::atomic<int> &isEnding, Log log,
                                            size_t jobs) {
  constexpr size_t cpusOfWorker = 4; // which generates a program's functions side by side
  const size_t count = threads ? size_t(threads) : availableCpus();
  std::unique_ptr<CpuLab> lab(
      new CpuLab(spec, file, count, isEnding, log, jobs ? jobs : availableCpus() / cpusOfWorker));
  Result<ProgramKey> key = lab->context.keyOf(ProgramRequest(spec, {}, lab->target));
  NYSJIT_RETURN_IF_ERROR(key);
  lab->own = {targetName(lab->target), cpuFacts(hostCpu(), count),
              keyTextLine(key->text, "compiler"), aboutMachine()};
  lab->own.l2Bytes = lab->own.device["l2_bytes"].get<int64_t>();
  return std::unique_ptr<Lab>(std::move(lab));
}

/// Not 0 where a compile is to end.
int32_t CpuLab::report(void *self, const char *, double elapsedMs) {
  const CpuLab &lab = *static_cast<CpuLab *>(self);
  return lab.ending != 0 || elapsedMs > lab.file.compileSeconds * 1e3;
}

/// A compile's error, by its reason where this lab cancelled it.
Error CpuLab::inTime(Error error) const {
  if (error.kind != ErrorKind::Cancelled || ending != 0)
    return error;
  return Error::plain(ErrorKind::Cancelled, "budget.compile_seconds",
                      "the compile took longer than budget.compile_seconds");
}

Result<Plan> CpuLab::plan(const KernelConfig &config) {
  Result<StageReply> reply =
      context.compileStage({.program = ProgramRequest(spec, config, target), .emit = "plan"});
  if (!reply)
    return inTime(reply.takeError());
  return planFromJson(reply->blobs.front());
}

void CpuLab::compileAhead(const std::vector<KernelConfig> &configs) {
  std::vector<ProgramRequest> requests;
  for (const KernelConfig &config : configs)
    requests.emplace_back(spec, config, target);
  ahead.compile(requests, log, &report, this);
}

Result<Compiled> CpuLab::compile(const KernelConfig &config) {
  const ProgramRequest request(spec, config, target);
  const std::optional<Result<double>> known = ahead.outcomeOf(request);
  if (known && !*known)
    return inTime(known->error());
  const Stopwatch watch;
  Result<PreparedProgram> prepared = context.prepare(request);
  if (!prepared)
    return inTime(prepared.takeError());
  Compiled compiled{programs.size(), known ? known->value() : watch.ms(), {}};
  for (const PlanKernel &kernel : prepared->program->plan().kernels)
    compiled.scratchBytes[kernel.name] = kernel.scratchBytes;
  programs.push_back(std::move(prepared->program));
  return compiled;
}

void CpuLab::release(size_t program) { programs[program].reset(); }

RunInputs &CpuLab::inputsOf(size_t shape) {
  if (!inputs[shape])
    inputs[shape] = std::make_unique<RunInputs>(spec, file.shapes[shape], file.seed);
  return *inputs[shape];
}

/// Walks over twice the last cache's size.
void CpuLab::coolCaches() {
  constexpr size_t line = 64;
  if (cold.empty())
    cold.resize(2 * size_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 1L << 25)));
  for (size_t i = 0; i < cold.size(); i += line)
    *const_cast<volatile char *>(&cold[i]) = char(i);
}

Result<RunTime> CpuLab::run(size_t program, size_t shape) {
  const RunInputs &given = inputsOf(shape);
  if (file.isCold)
    coolCaches();
  Recorder recorder;
  const LaunchObserver observer = {&Recorder::observe, nullptr, &recorder};
  const double cpu = cpuMs();
  recorder.cpu = cpu;
  const Stopwatch watch;
  NYSJIT_RETURN_IF_ERROR(programs[program]->run(given.args(), nullptr, &observer));
  recorder.time.whole = {watch.ms(), cpuMs() - cpu};
  return std::move(recorder.time);
}

Result<std::vector<float>> CpuLab::outputOf(size_t program) {
  RunInputs &given = inputsOf(smallest);
  given.clearOutput();
  NYSJIT_RETURN_IF_ERROR(programs[program]->run(given.args(), nullptr));
  return given.output();
}

Result<Difference> CpuLab::difference(size_t program, size_t reference) {
  if (!bound)
    bound = 2 * inputsOf(smallest).errorBound(); // each may be off by one to its side
  if (!referenceOutput || referenceOutput->first != reference) {
    Result<std::vector<float>> output = outputOf(reference);
    NYSJIT_RETURN_IF_ERROR(output);
    referenceOutput.emplace(reference, std::move(*output));
  }
  Result<std::vector<float>> output = outputOf(program);
  NYSJIT_RETURN_IF_ERROR(output);
  return Difference{reference::relativeError(*output, referenceOutput->second), *bound};
}

double CpuLab::seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string CpuLab::date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

} // namespace nysjit::tune
