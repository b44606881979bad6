// The lab on this machine's CPU, over the runtime: programs of a context of their own, which keeps
// nothing.
#pragma once
#include "runtime/api/context.h"
#include "runtime/tune/compile_ahead.h"
#include "runtime/tune/inputs.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/tune_file.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace nysjit::tune {

class CpuLab final : public Lab {
public:
  /// `threads` 0: all. `isEnding` outlives the lab. Unavailable where the target does not run here
  /// or there is no compiler.
  /// `jobs`: compiles at once, each with a worker that uses some 4 CPUs; 0: what there is room for.
  static Result<std::unique_ptr<Lab>> create(const KernelSpec &spec, const TuneFile &file,
                                             int threads, const std::atomic<int> &isEnding, Log log,
                                             size_t jobs = 0);

  Place place() override { return own; }
  Result<Plan> plan(const KernelConfig &config) override;
  void compileAhead(const std::vector<KernelConfig> &configs) override;
  Result<Compiled> compile(const KernelConfig &config) override;
  void release(size_t program) override;
  Result<RunTime> run(size_t program, size_t shape) override;
  Result<Difference> difference(size_t program, size_t reference) override;
  void beginSeries(const std::string &) override {}
  double seconds() override;
  std::string date() override;
  bool isEnding() override { return ending != 0; }

private:
  CpuLab(const KernelSpec &spec, const TuneFile &file, size_t threads,
         const std::atomic<int> &isEnding, Log log, size_t jobs);
  static int32_t report(void *lab, const char *stage, double elapsedMs);
  Error inTime(Error error) const;
  RunInputs &inputsOf(size_t shape);
  void coolCaches();
  Result<std::vector<float>> outputOf(size_t program);

  const KernelSpec spec;
  const TuneFile &file;
  const Target target;
  const std::atomic<int> &ending;
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  const Log log;
  CompileAhead ahead;
  RuntimeContext context;
  Place own;
  std::vector<std::shared_ptr<const LoadedProgram>> programs; // null: released
  std::vector<std::unique_ptr<RunInputs>> inputs;             // by shape, made when needed
  std::vector<char> cold;                                     // what other data the caches hold
  size_t smallest = 0;                                        // shape
  std::optional<double> bound;
  std::optional<std::pair<size_t, std::vector<float>>> referenceOutput; // and of which program
};

} // namespace nysjit::tune
