// LoadedProgram: a compiled program ready to run, with what can be asked about it. Shared by all who prepared it.
#pragma once
#include "runtime/cache/entry.h"
#include "runtime/device/cpu_program.h"
#include "runtime/include/nysjit.h"

#include <memory>
#include <string>
#include <vector>

namespace nysjit {

class LoadedProgram {
public:
  /// From a cache entry or a compiler's answer. `privateFolder` is SharedObject::load's.
  static Result<std::shared_ptr<const LoadedProgram>>
  load(std::string key, CacheEntry entry, std::shared_ptr<Threads> threads, const std::string &privateFolder);

  const std::string &key() const { return entryKey; }
  const Plan &plan() const { return program->plan(); }
  const std::string &planJson() const { return entry.planJson; }
  const std::string &object() const { return entry.object; }
  const std::string &configJson() const { return config; }   // block sizes in use, by kernel
  const std::string &kernelsJson() const { return kernels; } // [{"name","object_bytes"}]
  size_t scratchBytes() const { return program->scratchBytes(); }

  /// `args` is whole: the C border has filled in what its caller left out.
  Result<size_t> workspaceBytes(const nysjit_run_args &args) const;
  Status run(const nysjit_run_args &args) const;

private:
  LoadedProgram() = default;
  Status mapArguments();
  Status gather(const nysjit_run_args &args, const DLTensor **tensors) const;

  std::string entryKey;
  CacheEntry entry;
  std::string config = "{}", kernels = "[]";
  float defaultScale = 0; // 0: the plan does not say
  std::unique_ptr<CpuProgram> program;
  std::shared_ptr<Threads> threads;
  std::vector<size_t> fields; // by plan argument: its row in the table of nysjit_run_args' tensors
  uint32_t usedFields = 0;    // bit i: row i
};

} // namespace nysjit
