// RuntimeContext: prepares programs from memory, from disk or by compiling. The C API is a thin
// border around this; the command uses it directly (link nysjit_runtime_static, which has the C API
// too).
#pragma once
#include "runtime/api/bundles.h"
#include "runtime/api/program.h"
#include "runtime/base/log.h"
#include "runtime/base/progress.h"
#include "runtime/cache/disk_cache.h"
#include "runtime/configs/configs_places.h"
#include "runtime/spec/request.h"
#include "runtime/worker/client.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace nysjit {

struct ContextOptions {
  std::optional<std::string> cacheFolder; // absent: defaultCacheFolder(); "": nothing on disk
  std::string compiler;                   // "": findWorker's places
  size_t threads = 0;                     // 0: all CPUs
  HostParallelFor parallelFor = nullptr;
  void *parallelForContext = nullptr;
  DeviceKind device = DeviceKind::Cpu;
  // Programs are looked at, never run: the device need not be there, and bundles are not asked.
  bool isForCompiling = false;
  std::optional<GivenBundles> bundles; // absent: $NYSJIT_BUNDLES
  bool isSealed = false;               // nothing is compiled; so with $NYSJIT_SEALED 1
  HostMemory memory;                   // of runs on the CPU
  Log log;
  Progress::Report progress = nullptr;
  void *progressContext = nullptr;
};

enum class CacheState { Memory, Bundle, Disk, Compiled };
const char *cacheStateName(CacheState state); // "memory", "bundle", "disk", "compiled"

struct PreparedProgram {
  std::shared_ptr<const LoadedProgram> program;
  CacheState cache = CacheState::Memory;
  double loadMs = 0;
  double compileMs = 0;            // as in nysjit_program_info
  std::string stagesMsJson = "{}"; // of this compile
  std::string note = "";           // of this compile, a line: what was not necessary and failed
  std::string configSource = "";   // Resolved's, where it was resolved
};

/// A request in which nothing is open.
struct Resolved {
  ProgramRequest request;
  // of the config: "given", "default", the path of the configs.json it was found in, "bundle PATH"
  std::string configSource;
  bool isFound = false; // the config, in a configs.json that nobody gave
};

/// A compile that stops at a stage or starts from one; never cached.
struct StageRequest {
  ProgramRequest program;
  // "tile", "lowered", "llvm", "asm", "object", "ptx", "cubin", "plan"; "": the whole program
  std::string emit = "";
  std::string from = "";
  std::string fromBytes = ""; // start from this stage's text or bytes; "": from the spec
};

struct StageReply {
  // {"stages_ms", "kernels", "config"}, as far as the worker knows them
  Json report;
  // with emit: 0 the stage; without: 0 the plan's JSON, 1 the shared object or the cubin (empty if
  // there was no ptxas), for a GPU 2 the PTX
  std::vector<std::string> blobs;
};

/// Any number of threads may use one at once.
class RuntimeContext {
public:
  explicit RuntimeContext(ContextOptions options);

  /// On a GPU the program is also loaded into the calling thread's current CUDA context, if there
  /// is one.
  Result<PreparedProgram> prepare(const ProgramRequest &request);
  Result<PreparedProgram> prepare(const KernelSpec &spec, const KernelConfig &config,
                                  const Target &target) {
    return prepare(ProgramRequest(spec, config, target));
  }
  /// The device's own: cpu:native, the GPU's capability, or sm_80 for the emulator.
  Result<Target> defaultTarget();
  /// What is asked for where no target is, or no config. The target: the best that the device runs
  /// and a bundle has the program for, else the default. The config: that of a configs.json in
  /// $NYSJIT_CONFIGS, the bundle's, that of the user's or the system's configs.json, else {}.
  Result<Resolved> resolve(const KernelSpec &spec, const ConfigChoice &choice,
                           const std::optional<Target> &target);
  /// Says where the config is from. One that was found and that the compiler refuses is a line in
  /// the log, and the request resolved without it.
  Result<PreparedProgram> prepare(Resolved resolved);
  /// resolve, then prepare.
  Result<PreparedProgram> prepare(const KernelSpec &spec, const ConfigChoice &choice,
                                  const std::optional<Target> &target);
  /// The device, opened when first asked for; null on the CPU and where it is only compiled for.
  Result<std::shared_ptr<CudaDevice>> cudaDevice();
  Result<StageReply> compileStage(const StageRequest &request);
  DiskCache &cache() { return disk; }
  /// Who runs its programs, and what else a context computes.
  Threads &runners() { return *threads; }
  /// What the cache knows the program by. Unavailable where its target does not run.
  Result<ProgramKey> keyOf(const ProgramRequest &request);

private:
  /// A program that is there or on its way: who comes second waits for the first.
  struct Preparation {
    std::timed_mutex mutex;
    std::shared_ptr<const LoadedProgram> program;
    InUse entry; // where it was loaded from
  };
  /// A source and what a program found in it is said to come from.
  struct Source {
    ProgramSource *source;
    CacheState state;
    std::string name; // in messages
  };
  /// What looking for a program came to.
  struct Found {
    EntryState state = EntryState::Absent;
    std::optional<CacheState> where; // the program is in the preparation
    std::string note;                // what is wrong with an entry that is there
  };
  /// Each ptxas that may be used and what tells them from others; found once.
  struct Ptxas {
    std::string paths; // one a line; "": there is none, or none is to be used
    std::string identity = "none";
  };
  Result<Ptxas> ptxas();
  Status checkRuns(const Target &target);
  Result<std::vector<Target>> runnableTargets();
  Result<std::optional<ConfigQuery>> configQuery(const KernelSpec &spec, const Target &target);
  Result<std::optional<Resolved>> resolveInBundles(const KernelSpec &spec,
                                                   const ConfigChoice &choice,
                                                   const std::vector<Target> &targets);
  Result<Resolved> resolveInGiven(const KernelSpec &spec, const ConfigsFile &file,
                                  const std::vector<Target> &targets);
  Result<bool> isSealed() const;
  Result<std::vector<Source>> sources();
  std::optional<Error> whyNotCompiled(const ProgramRequest &request);
  LoadedProgram::Resources resources();
  Result<PreparedProgram> find(const ProgramRequest &request);
  Result<ProgramMaker> maker(const Target &target);
  void rememberMaker(const Target &target);
  Status findCompiler();
  Status addAssemblers(Message &message);
  Result<Message> ask(const StageRequest &request, const Progress &progress);
  Progress newProgress() const { return {options.progress, options.progressContext}; }
  Status findInAll(const ProgramKey &key, const ProgramRequest &request, Preparation &preparation,
                   Found &found);
  EntryState findIn(const Source &from, const ProgramKey &key, const ProgramRequest &request,
                    Preparation &preparation, std::string &note);
  Result<PreparedProgram> compileOnce(const ProgramKey &key, const ProgramRequest &request,
                                      Preparation &preparation, Found &found,
                                      const Progress &progress);
  Result<PreparedProgram> compile(const ProgramKey &key, const ProgramRequest &request,
                                  const CacheLimits &limits, const Progress &progress);
  void keep(const ProgramKey &key, const CacheEntry &entry, const CacheLimits &limits,
            const Target &target);

  ContextOptions options;
  DiskCache disk;
  std::shared_ptr<Threads> threads;
  Bundles bundles;
  FoundConfigs configs;
  std::mutex mutex;                                                 // guards what follows
  std::map<std::string, std::shared_ptr<Preparation>> preparations; // by key
  ProgramMaker compiler;                                            // but for the assembler
  std::unique_ptr<WorkerClient> worker; // set with `compiler`, then constant
  std::optional<Ptxas> foundPtxas;      // set once, then constant
  std::shared_ptr<CudaDevice> gpu;      // set once, then constant
};

} // namespace nysjit
