// LoadedProgram: a compiled program ready to run, with what can be asked about it. Shared by all
// who prepared it.
#pragma once
#include "runtime/cache/entry.h"
#include "runtime/device/cuda_program.h"
#include "runtime/device/memory.h"
#include "runtime/device/threads.h"
#include "runtime/include/nysjit.h"
#include "runtime/spec/request.h"
#include "runtime/spec/tensor_table.h"

#include <memory>
#include <string>
#include <vector>

namespace nysjit {

class LoadedProgram {
public:
  /// What a program is loaded for. `device` is null on the CPU, and where a GPU's program is only
  /// looked at.
  struct Resources {
    std::shared_ptr<Threads> threads;
    std::shared_ptr<CudaDevice> device;
    std::string privateFolder; // SharedObject::load's
    HostMemory memory;
  };
  /// From a cache entry or a compiler's answer to `request`, whose spec gives the default scale;
  /// without one, or where the plan is another spec's, runs must say their scale.
  static Result<std::shared_ptr<const LoadedProgram>> load(std::string key, CacheEntry entry,
                                                           const Resources &resources,
                                                           const ProgramRequest *request = nullptr);

  const CacheEntry &cacheEntry() const { return entry; }
  const std::string &key() const { return entryKey; }
  const Plan &plan() const { return program->plan(); }
  const std::string &planJson() const { return entry.planJson; }
  const std::string &object() const { return entry.object; } // a shared object, or a cubin
  const std::string &ptx() const { return entry.ptx; }       // "" on the CPU
  const std::string &configJson() const { return config; }   // block sizes in use, by kernel
  const std::string &kernelsJson() const { return kernels; } // [{"name",...}]
  size_t scratchBytes() const { return program->scratchBytes(); }

  /// `args` is whole: the C border has filled in what its caller left out.
  Result<MemorySizes> sizes(const nysjit_run_args &args) const;
  /// `observer`, if there is one, is told of the launches instead of args.timings.
  Status run(const nysjit_run_args &args, void *stream,
             const LaunchObserver *observer = nullptr) const;
  /// On a GPU: loads the module into the calling thread's current context, if it has one.
  Status loadIntoCurrent() const;

private:
  LoadedProgram() = default;
  Status loadOnto(Plan plan, const Resources &resources);
  Status mapArguments();
  /// Why the program has no such tensor: "conv_kernel 0", "layout causal".
  std::string reasonUnused(const TensorRow &row) const;
  Status gather(const nysjit_run_args &args, const DLTensor **tensors) const;

  std::string entryKey;
  CacheEntry entry;
  std::string config = "{}";
  std::string kernels = "[]";
  float defaultScale = 0;                                  // 0: there is none
  std::unique_ptr<DeviceProgram> program;                  // uses `entry`
  const CudaProgram *cuda = nullptr;                       // `program` if it is a GPU's
  std::vector<const DLTensor * nysjit_run_args::*> fields; // one a plan's argument
  uint32_t usedRows = 0; // bit i: row i of the table of tensors is one
};

} // namespace nysjit
