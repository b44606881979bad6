// Lab: where candidates are compiled, run and timed. The tuner decides what, a lab does it: one on
// the CPU (cpu_lab.h), one on a GPU or the emulator (gpu_lab.h), one with a clock of its own in the
// tests.
#pragma once
#include "runtime/base/json.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/block_config.h"
#include "runtime/tune/resources.h"

#include <map>
#include <string>
#include <vector>

namespace nysjit::tune {

/// A program that was compiled. `number`: how the lab knows it.
struct Compiled {
  size_t number = 0;
  double ms = 0;
  std::map<std::string, KernelResources> kernels;
};

/// A time by the wall's clock, and that of all the process's threads on their CPUs.
struct Time {
  double wallMs = 0;
  double cpuMs = 0;
};

/// One run of a program.
struct RunTime {
  Time whole;
  std::map<std::string, Time> kernels; // of all launches of each
};

/// How far two programs' outputs are apart, and how far they may be.
struct Difference {
  double error = 0;
  double bound = 0;
  bool isWithin() const { return error <= bound; } // a NaN is not
};

/// What the programs are for, as configs.json says it.
struct Place {
  std::string target;
  Json device;          // device_facts.h
  std::string compiler; // its build
  Json about;           // of people's interest only
  /// What only one tune at a time may use: a MachineLock's name; "": nothing that matters.
  std::string lock;
  int64_t l2Bytes = 0; // of the CPU that scratch is to fit; 0: unknown
  /// Whether what a run is said to take is computed, and the same each time, rather than measured.
  bool isModel = false;
  const char *objective() const { return isModel ? "model" : "time"; }
};

/// For one spec and a number of threads. Of one thread.
class Lab {
public:
  virtual ~Lab() = default;
  virtual Place place() = 0;
  /// The plan of a program with these block sizes, which need not be complete. No code is made.
  virtual Result<Plan> plan(const KernelConfig &config) = 0;
  /// The complete configs that programs are there of, where that is not for the lab to make them;
  /// empty: it compiles what is asked for.
  virtual std::vector<KernelConfig> offered() { return {}; }
  /// These will be asked for: a lab with cores to spare compiles them side by side.
  virtual void compileAhead(const std::vector<KernelConfig> &configs) = 0;
  /// CompileFailed; Cancelled past the time limit of a compile, and where the user wants the end.
  virtual Result<Compiled> compile(const KernelConfig &config) = 0;
  /// Forgets a program.
  virtual void release(size_t program) = 0;
  /// Runs it once at a shape, by its index in TUNE.json.
  virtual Result<RunTime> run(size_t program, size_t shape) = 0;
  /// Whether programs can be run at all; not, say, after a GPU's fault, which takes the process's
  /// context with it.
  virtual Status usable() { return {}; }
  /// Runs both at the smallest shape and compares.
  virtual Result<Difference> difference(size_t program, size_t reference) = 0;
  /// A new series of measurements begins, which has nothing to do with earlier ones.
  virtual void beginSeries(const std::string &name) = 0;
  /// What has been seen of the device in this series that may matter: {"sm_clock_mhz": [least,
  /// most]}.
  virtual Json conditions() { return Json::object(); }
  /// Seconds that passed.
  virtual double seconds() = 0;
  /// "2026-11-28T13:40:08Z"
  virtual std::string date() = 0;
  /// Whether the user wants the end.
  virtual bool isEnding() = 0;
};

/// What a tune ends with that is to end.
inline Error endedFromOutside() {
  return Error::plain(ErrorKind::Cancelled, "tune",
                      "tune: ended from outside; --resume goes on where it stopped");
}

} // namespace nysjit::tune
