// A lab whose clock the test sets: what each kernel takes with each block size is planted, and the
// noise is a function of what is run, not of when.
#pragma once
#include "runtime/tune/tuner.h"

#include <functional>
#include <map>
#include <set>
#include <string>

namespace nysjit::tune {

/// What programs are like, and what was done with them.
struct FakeWorld {
  /// A kernel's time over that of its default; 1 unless planted. `block`: of segment_summary, that
  /// of landmark_target. `run`: how often this program ran at this shape in this series, from 0.
  using Factor = std::function<double(const BlockConfig &block, size_t shape, int run)>;
  std::map<std::string, Factor> factors; // by kernel
  /// Of the whole machine, by the number of runs so far in the series.
  std::function<double(int run)> slowness = [](int) { return 1.0; };
  double noise = 0.03; // standard deviation of each launch's time
  uint64_t seed = 1;
  std::function<bool(const KernelConfig &)> isWrong = [](const KernelConfig &) { return false; };
  std::function<bool(const KernelConfig &)> failsToCompile = isWrong;
  std::map<std::string, int64_t> scratchBytes; // by kernel and blocks: "causal_output 64x64"
  int64_t l2Bytes = 0;
  std::string compiler = "build-id 1";
  std::set<std::string> idle;        // kernels that are not launched
  std::vector<KernelConfig> offered; // all that can be compiled, if there are any
  std::function<bool(const KernelConfig &)> breaksTheDevice = isWrong;
  bool isLost = false;  // the device is
  bool isModel = false; // the clock takes a minute a first run, and times are exact
  Json conditions = Json::object();
  int killAtRun = 0; // the process kills itself at this run; 0: never
  int endAtRun = 0;  // the user wants the end

  double clock = 0;               // seconds
  std::set<std::string> modelled; // programs and shapes
  std::string series;             // of the last run
  int runs = 0;
  std::map<std::string, int> timings; // runs in screening, by program's config
  std::vector<std::string> compiled;  // configs
};

class FakeLab final : public Lab {
public:
  explicit FakeLab(FakeWorld &world, int threads = 2) : world(world), threads(threads) {}
  Place place() override;
  Result<Plan> plan(const KernelConfig &config) override;
  std::vector<KernelConfig> offered() override { return world.offered; }
  Status usable() override;
  Json conditions() override { return world.conditions; }
  void compileAhead(const std::vector<KernelConfig> &) override {}
  Result<Compiled> compile(const KernelConfig &config) override;
  void release(size_t) override {}
  Result<RunTime> run(size_t program, size_t shape) override;
  Result<Difference> difference(size_t program, size_t reference) override;
  void beginSeries(const std::string &name) override;
  double seconds() override { return world.clock; }
  std::string date() override { return "2026-11-28T13:40:08Z"; }
  bool isEnding() override { return world.endAtRun && world.runs >= world.endAtRun; }

private:
  FakeWorld &world;
  int threads;
  std::vector<KernelConfig> programs;
  std::map<std::string, int> counts; // runs in this series, by program and shape
  int inSeries = 0;
};

LabMaker fakeLabs(FakeWorld &world);

/// A tune with a journal of its own, which goes with it.
Result<TuneReport> tuned(FakeWorld &world, const TuneFile &file);

/// One causal spec at n 512 and 2048, which may be changed.
TuneFile fakeTune(const std::string &more = "");

} // namespace nysjit::tune
