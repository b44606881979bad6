// What the labs over the runtime share: programs of a context of their own, which keeps nothing.
#pragma once
#include "runtime/api/context.h"
#include "runtime/gpu/saved_memory.h"
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

struct LabOptions {
  /// Programs come from these; what they have not is compiled, where there is a compiler.
  std::vector<std::string> bundles;
  Log log;
  /// Compiles at once, each with a worker that uses some 4 CPUs; 0: what there is room for.
  size_t jobs = 0;
};

/// Of the program that comes before a backward one's.
KernelSpec savingSpec(KernelSpec spec);

class RuntimeLab : public Lab {
public:
  Place place() override { return own; }
  Result<Plan> plan(const KernelConfig &config) override;
  std::vector<KernelConfig> offered() override { return bundled; }
  void compileAhead(const std::vector<KernelConfig> &configs) override;
  Result<Compiled> compile(const KernelConfig &config) override;
  void release(size_t program) override { programs[program].reset(); }
  Result<Difference> difference(size_t program, size_t reference) override;
  double seconds() override;
  std::string date() override;
  bool isEnding() override { return ending != 0; }

protected:
  /// `file` and `isEnding` outlive the lab.
  RuntimeLab(const KernelSpec &spec, const TuneFile &file, DeviceKind device, size_t threads,
             const std::atomic<int> &isEnding, const LabOptions &options);
  /// Sets what place() is, and what the bundles offer. Unavailable where the target does not run
  /// here.
  Status open(const Target &target, Json device, Json about);

  RunInputs &inputsOf(size_t shape);
  /// Gives arguments what a program of the spec has beside tensors: memory to save to, and for a
  /// backward one what its forward writes there and to the output. `gpu` null: on the CPU.
  Status addSaved(nysjit_run_args &args, SavedMemory &saved, const GpuSession *gpu, void *stream);
  const LoadedProgram &program(size_t number) const { return *programs[number]; }
  size_t smallestShape() const { return smallest; }
  /// What the program computes at the smallest shape.
  virtual Result<std::vector<RunOutput>> outputsOf(size_t program) = 0;

private:
  const LabOptions options;
  CompileAhead ahead; // before the context, which is to know its folder

protected:
  const KernelSpec spec;
  const TuneFile &file;
  RuntimeContext context;
  Place own;

private:
  Status openBundles();
  static int32_t report(void *lab, const char *stage, double elapsedMs);
  Error inTime(Error error) const;
  ProgramRequest requestOf(const KernelConfig &config) const {
    return ProgramRequest(spec, config, target);
  }

  const DeviceKind kind;
  const std::atomic<int> &ending;
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  Target target;
  std::vector<KernelConfig> bundled;
  std::vector<std::shared_ptr<const LoadedProgram>> programs; // null: released
  std::vector<std::unique_ptr<RunInputs>> inputs;             // by shape, made when needed
  size_t smallest = 0;                                        // shape
  std::shared_ptr<const LoadedProgram> saving; // what a backward spec's runs begin with
  std::optional<std::pair<size_t, std::vector<RunOutput>>> referenceOutputs; // and whose
};

} // namespace nysjit::tune
