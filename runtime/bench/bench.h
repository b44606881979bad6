// The bench: one program's times over sizes, or two programs' beside each other, through labs as
// the tuner's (runtime/tune/lab.h). Rounds alternate within one run: at each size each program in
// random order, so that what slows the machine down hits both.
#pragma once
#include "runtime/bench/comparison.h"
#include "runtime/bench/rates.h"
#include "runtime/bench/work.h"
#include "runtime/tune/tuner.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nysjit::bench {

/// A program that is timed.
struct Contender {
  std::string name; // for people
  KernelSpec spec;
  KernelConfig config;
  std::string configSource; // as Resolved's
};

struct BenchRequest {
  std::vector<Contender> contenders; // one, or two to compare
  /// Lengths ascend. Those of the labs: a lab knows a shape by its place here.
  std::vector<tune::TuneShape> shapes;
  int threads = 0;     // 0: all
  double seconds = 30; // of timing; the shortest size is always timed
  int rounds = 40;     // at each size, where the time is enough
  double leastEffect = 0.02;
  uint64_t seed = 1; // of the order
  /// Null: no roofline. Asked before and after the rounds, the best counts.
  std::function<Result<Rates>()> takeRates;
  /// Seconds that others took of `cpus` CPUs, as othersCpuSeconds says it. Null: not known.
  std::function<std::optional<double>()> takenByOthers;
  size_t cpus = 1; // of the machine
};

/// A contender's times at a size.
struct Measured {
  double ms = 0; // median
  Interval quartiles;
  Work work;
  double gflopS() const { return work.flops / ms / 1e6; }
  double gbS() const { return work.bytes / ms / 1e6; }
};

struct SizeReport {
  tune::TuneShape shape;
  int rounds = 0;
  std::vector<Measured> contenders;
  std::optional<Comparison> comparison; // of the first with the second
};

struct BenchReport {
  std::vector<Contender> contenders;
  tune::Place place;
  std::vector<SizeReport> sizes; // that were timed
  std::optional<Rates> rates;
  Json conditions;                   // Lab::conditions
  std::optional<double> othersShare; // of the machine's CPUs, while rounds went on
  std::vector<std::string> notes;    // what was cut, and why
  double seconds = 0;                // in all
};

/// The least time that the rates allow, and by which.
struct Roof {
  double ms = 0;
  bool isByProducts = false; // else by copies
};
Roof roofOf(const Work &work, const Rates &rates);

/// Contenders of one spec share a lab, and their outputs are compared: CheckFailed if they differ
/// by more than rounding.
Result<BenchReport> bench(const BenchRequest &request, const tune::LabMaker &labFor,
                          tune::ProgressLine &progress);

} // namespace nysjit::bench
