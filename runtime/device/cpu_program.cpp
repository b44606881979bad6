// Running a plan on the CPU: the numbers of the run, memory for it, then one launch after the
// other. Each thread of a launch takes the next cell from a shared counter, so cells that a
// template gives first start first and uneven ones balance.
#include "runtime/device/cpu_program.h"

#include <algorithm>
#include <chrono>

namespace nysjit {

namespace {

struct Job {
  void (*function)(const uint64_t *parameters, int64_t cell, void *scratch);
  const uint64_t *parameters;
  int64_t grid;
  std::atomic<int64_t> next{0};
};

/// One thread's share: cells until there are none.
void runShare(void *context, void *scratch) {
  Job &job = *static_cast<Job *>(context);
  for (int64_t cell; (cell = job.next.fetch_add(1, std::memory_order_relaxed)) < job.grid;)
    job.function(job.parameters, cell, scratch);
}

Error noScratch(const std::string &where, size_t bytes, const char *found,
                const std::string &more = "") {
  return Error::mismatch(ErrorKind::Io, where,
                         std::to_string(bytes) + " bytes of scratch memory" + more, found);
}

} // namespace

CpuProgram::CpuProgram(PreparedPlan plan, SharedObject object, std::shared_ptr<Threads> pool,
                       const HostMemory &given)
    : prepared(std::move(plan)), binary(std::move(object)), threads(std::move(pool)),
      memory(given) {}

Result<std::unique_ptr<DeviceProgram>> CpuProgram::load(Plan plan, std::string_view object,
                                                        const std::string &privateFolder,
                                                        std::shared_ptr<Threads> threads,
                                                        const HostMemory &memory) {
  Result<PreparedPlan> prepared = PreparedPlan::create(std::move(plan));
  NYSJIT_RETURN_IF_ERROR(prepared);
  Result<SharedObject> binary = SharedObject::load(object, privateFolder);
  NYSJIT_RETURN_IF_ERROR(binary);
  std::unique_ptr<CpuProgram> program(
      new CpuProgram(std::move(*prepared), std::move(*binary), std::move(threads), memory));
  NYSJIT_RETURN_IF_ERROR(program->findKernels());
  return std::unique_ptr<DeviceProgram>(std::move(program));
}

Status CpuProgram::findKernels() {
  for (const PlanKernel &kernel : plan().kernels) {
    void *function = binary.symbol(kernel.name);
    if (!function)
      return Error::mismatch(ErrorKind::CompileFailed, "program",
                             "a binary that holds kernel '" + kernel.name + "'",
                             "none of that name");
    functions.push_back(reinterpret_cast<KernelFunction>(function));
    scratch = std::max(scratch, static_cast<size_t>(kernel.scratchBytes));
  }
  return {};
}

Result<MemorySizes> CpuProgram::sizes(const DLTensor *const *tensors, int64_t maxLength,
                                      bool isSavedGiven) const {
  return prepared.sizes(tensors, {}, maxLength, isSavedGiven);
}

Status CpuProgram::run(const ProgramRun &run) const {
  if (run.stream)
    return Error::mismatch(ErrorKind::InvalidArgument, "stream", "NULL (the CPU has no streams)",
                           "a pointer");
  // The numbers of this run, and what is wrong with them.
  RunNumbers numbers;
  NYSJIT_RETURN_IF_ERROR(prepared.bind(run, {}, numbers));
  if (numbers.last == SIZE_MAX)
    return {};
  // Memory, and with its address the parameters of every launch, before any of them runs.
  if (run.workspace)
    NYSJIT_RETURN_IF_ERROR(prepared.checkWorkspace(run, numbers));
  const WorkspaceLease lease(run.workspace ? 0 : numbers.workspaceBytes, memory, scratch,
                             threads->count());
  void *workspace = run.workspace ? run.workspace : lease.memory();
  if (!lease.memory())
    return Error::mismatch(ErrorKind::Io, "workspace",
                           std::to_string(numbers.workspaceBytes) + " bytes of memory",
                           "not enough");
  NYSJIT_RETURN_IF_ERROR(prepared.fill(workspace, run, numbers));
  ThreadTeam team(*threads, scratch, run.environment, lease.scratch());
  if (!team.hasScratch())
    return noScratch("scratch", scratch, "not enough");

  // Nothing can go wrong from here on but with a host's parallel_for: its threads lack memory, or
  // it runs none of its tasks.
  const uint64_t *parameters = numbers.parameters;
  for (size_t i = 0; i <= numbers.last; ++i) {
    if (numbers.grids[i] == 0)
      continue;
    NYSJIT_RETURN_IF_ERROR(
        launch(team, i, numbers.grids[i], parameters, i == numbers.last, run.observer));
    parameters += prepared.kernel(i).parameters.size();
  }
  return {};
}

Status CpuProgram::launch(ThreadTeam &team, size_t number, int64_t grid, const uint64_t *parameters,
                          bool isLast, const LaunchObserver &observer) const {
  const PlanKernel &kernel = prepared.kernel(number);
  Job job{functions[prepared.kernelNumber(number)], parameters, grid};
  const auto start =
      observer.observe ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
  team.launch(&runShare, &job, static_cast<size_t>(grid), isLast);
  if (job.next.load(std::memory_order_relaxed) < job.grid)
    return noScratch(kernel.name, scratch, "no thread with both",
                     " and a parallel_for that runs its tasks");
  if (observer.observe) {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    observer.observe(observer.context, kernel.name.c_str(), grid, 1, passed.count());
  }
  return {};
}

} // namespace nysjit
