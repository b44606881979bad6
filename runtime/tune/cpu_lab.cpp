// Running and timing on the CPU.
#include "runtime/tune/cpu_lab.h"
#include "runtime/api/stopwatch.h"
#include "runtime/configs/device_facts.h"
#include "runtime/device/cpus.h"

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

Json aboutMachine() {
  utsname system = {};
  uname(&system);
  return {{"cpus", availableCpus()},
          {"l3_bytes", int64_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L))},
          {"os", std::string(system.sysname) + " " + system.release}};
}

} // namespace

Result<std::unique_ptr<Lab>> CpuLab::create(const KernelSpec &spec, const TuneFile &file,
                                            int threads, const std::atomic<int> &isEnding,
                                            const LabOptions &options) {
  const size_t count = threads ? size_t(threads) : availableCpus();
  std::unique_ptr<CpuLab> lab(new CpuLab(spec, file, DeviceKind::Cpu, count, isEnding, options));
  NYSJIT_RETURN_IF_ERROR(
      lab->open(file.target.value_or(Target()), cpuFacts(hostCpu(), count), aboutMachine()));
  lab->own.lock = "cpu";
  lab->own.l2Bytes = lab->own.device["l2_bytes"].get<int64_t>();
  return std::unique_ptr<Lab>(std::move(lab));
}

/// Walks over twice the last cache's size.
void CpuLab::coolCaches() {
  constexpr size_t line = 64;
  if (cold.empty())
    cold.resize(2 * size_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 1L << 25)));
  for (size_t i = 0; i < cold.size(); i += line)
    *const_cast<volatile char *>(&cold[i]) = char(i);
}

Result<const nysjit_run_args *> CpuLab::argsAt(size_t shape) {
  given.resize(file.shapes.size());
  if (!given[shape]) {
    auto made = std::make_unique<Given>();
    made->args = inputsOf(shape).args();
    NYSJIT_RETURN_IF_ERROR(addSaved(made->args, made->saved, nullptr, nullptr));
    given[shape] = std::move(made);
  }
  return &given[shape]->args;
}

Result<RunTime> CpuLab::run(size_t number, size_t shape) {
  Result<const nysjit_run_args *> args = argsAt(shape);
  NYSJIT_RETURN_IF_ERROR(args);
  if (file.isCold)
    coolCaches();
  Recorder recorder;
  const LaunchObserver observer = {&Recorder::observe, nullptr, &recorder};
  const double cpu = cpuMs();
  recorder.cpu = cpu;
  const Stopwatch watch;
  NYSJIT_RETURN_IF_ERROR(program(number).run(**args, nullptr, &observer));
  recorder.time.whole = {watch.ms(), cpuMs() - cpu};
  return std::move(recorder.time);
}

Result<std::vector<RunOutput>> CpuLab::outputsOf(size_t number) {
  Result<const nysjit_run_args *> args = argsAt(smallestShape());
  NYSJIT_RETURN_IF_ERROR(args);
  RunInputs &inputs = inputsOf(smallestShape());
  inputs.clearOutputs();
  NYSJIT_RETURN_IF_ERROR(program(number).run(**args, nullptr));
  return inputs.outputs();
}

} // namespace nysjit::tune
