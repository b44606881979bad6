// The lab on this machine's CPU.
#pragma once
#include "runtime/tune/runtime_lab.h"

namespace nysjit::tune {

class CpuLab final : public RuntimeLab {
public:
  /// `threads` 0: all. `file` and `isEnding` outlive the lab. Unavailable where the target does not
  /// run here or there is no compiler.
  static Result<std::unique_ptr<Lab>> create(const KernelSpec &spec, const TuneFile &file,
                                             int threads, const std::atomic<int> &isEnding,
                                             const LabOptions &options);

  Result<RunTime> run(size_t program, size_t shape) override;
  void beginSeries(const std::string &) override {}

private:
  using RuntimeLab::RuntimeLab;
  /// The arguments at a shape, and what was saved for them.
  struct Given {
    nysjit_run_args args{};
    SavedMemory saved;
  };
  void coolCaches();
  Result<const nysjit_run_args *> argsAt(size_t shape);
  Result<std::vector<RunOutput>> outputsOf(size_t program) override;

  std::vector<std::unique_ptr<Given>> given; // by shape
  std::vector<char> cold;                    // what other data the caches hold
};

} // namespace nysjit::tune
