// Running a plan on a GPU: the numbers of the run, the program's module in the context, a
// workspace, then the launches. The way from call to launch does not allocate, synchronise or load
// anything once it was gone: it can be captured.
#include "runtime/device/cuda_program.h"

namespace nysjit {

namespace {

constexpr int64_t sharedBytesWithoutAsking = 48 << 10;
constexpr int overlapsInGraphs = 12030; // the first CUDA that captures launches which overlap

/// Events of a measured run, destroyed with it.
class Events {
public:
  explicit Events(const CudaDriver &driver) : driver(driver) {}
  Events(const Events &) = delete;
  ~Events() {
    for (CUevent event : events)
      (void)driver.api().cuEventDestroy(event);
  }
  Status record(CUstream stream) {
    events.reserve(events.size() + 1);
    CUevent event = nullptr;
    NYSJIT_RETURN_IF_ERROR(
        driver.check(driver.api().cuEventCreate(&event, CU_EVENT_DEFAULT), "cuEventCreate"));
    events.push_back(event);
    return driver.check(driver.api().cuEventRecord(event, stream), "cuEventRecord");
  }
  Status wait() const {
    return driver.check(driver.api().cuEventSynchronize(events.back()), "cuEventSynchronize");
  }
  /// Between one record and the next.
  Result<double> ms(size_t first) const {
    float ms = 0;
    NYSJIT_RETURN_IF_ERROR(
        driver.check(driver.api().cuEventElapsedTime(&ms, events[first], events[first + 1]),
                     "cuEventElapsedTime"));
    return static_cast<double>(ms);
  }

private:
  const CudaDriver &driver;
  std::vector<CUevent> events;
};

/// What another image of the same program may do better.
bool isRefusal(CUresult result) {
  return result == CUDA_ERROR_INVALID_IMAGE || result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
         result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
         result == CUDA_ERROR_NOT_SUPPORTED;
}

} // namespace

CudaProgram::CudaProgram(PreparedPlan plan, const std::string &cubinBytes,
                         const std::string &ptxText, std::shared_ptr<CudaDevice> on)
    : prepared(std::move(plan)), cubin(cubinBytes), ptx(ptxText), device(std::move(on)) {}

Result<std::unique_ptr<CudaProgram>> CudaProgram::load(Plan plan, const std::string &cubin,
                                                       const std::string &ptx,
                                                       std::shared_ptr<CudaDevice> device) {
  if (ptx.empty())
    return Error::mismatch(ErrorKind::CompileFailed, "program", "PTX", "nothing");
  if (!isGpuPlan(plan))
    return Error::mismatch(ErrorKind::CompileFailed, "program", "a plan for a GPU",
                           "one for " + plan.target);
  Result<PreparedPlan> prepared = PreparedPlan::create(std::move(plan));
  NYSJIT_RETURN_IF_ERROR(prepared);
  return std::unique_ptr<CudaProgram>(
      new CudaProgram(std::move(*prepared), cubin, ptx, std::move(device)));
}

CudaProgram::~CudaProgram() {
  for (const auto &[context, loaded] : contexts) {
    CUcontext popped = nullptr;
    const CudaSymbols &api = device->driver().api();
    // the driver is shutting down, or the context is gone
    if (api.cuCtxPushCurrent(context) != CUDA_SUCCESS)
      continue;
    (void)api.cuModuleUnload(loaded->module);
    (void)api.cuCtxPopCurrent(&popped);
  }
}

Result<MemorySizes> CudaProgram::sizes(const DLTensor *const *tensors, int64_t maxLength,
                                       bool isSavedGiven) const {
  return prepared.sizes(tensors, {kDLCUDA, -1}, maxLength, isSavedGiven);
}

Status CudaProgram::loadIntoCurrent() const {
  CUcontext current = nullptr;
  if (!device)
    return {};
  NYSJIT_RETURN_IF_ERROR(
      device->driver().check(device->driver().api().cuCtxGetCurrent(&current), "cuCtxGetCurrent"));
  if (current)
    NYSJIT_RETURN_IF_ERROR(loadedIn(current));
  return {};
}

Result<const CudaProgram::Loaded *> CudaProgram::loadedIn(CUcontext context) const {
  if (const Loaded *last = recent.load(std::memory_order_acquire); last && last->context == context)
    return last;
  const std::lock_guard lock(mutex);
  auto known = contexts.find(context);
  if (known == contexts.end()) {
    auto loaded = std::make_unique<Loaded>();
    loaded->context = context;
    NYSJIT_RETURN_IF_ERROR(loadModule(*loaded));
    try {
      known = contexts.emplace(context, std::move(loaded)).first;
    } catch (...) { // no memory
      (void)device->driver().api().cuModuleUnload(loaded->module);
      throw;
    }
  }
  recent.store(known->second.get(), std::memory_order_release);
  return known->second.get();
}

Status CudaProgram::loadModule(Loaded &loaded) const {
  Result<int> ordinal = device->currentOrdinal();
  NYSJIT_RETURN_IF_ERROR(ordinal);
  loaded.ordinal = *ordinal;
  Result<Target> target = parseTarget(plan().target);
  NYSJIT_RETURN_IF_ERROR(target);
  NYSJIT_RETURN_IF_ERROR(
      device->checkRuns(*target, device->driver().gpus()[static_cast<size_t>(*ordinal)]));
  // The cubin where the driver takes it; it refuses one for another GPU, but compiles the PTX.
  bool isRefused = true;
  if (!cubin.empty()) {
    Status status = loadImage(cubin, loaded.module, isRefused);
    if (!status && !isRefused)
      return status;
  }
  if (isRefused)
    NYSJIT_RETURN_IF_ERROR(loadImage(ptx, loaded.module, isRefused));
  const auto unload = [&] { (void)device->driver().api().cuModuleUnload(loaded.module); };
  try {
    Status status = findFunctions(loaded);
    if (!status)
      unload();
    return status;
  } catch (...) { // no memory
    unload();
    throw;
  }
}

Status CudaProgram::loadImage(const std::string &image, CUmodule &module, bool &isRefused) const {
  char log[8192] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
  const CudaDriver &driver = device->driver();
  const CUresult result =
      driver.api().cuModuleLoadDataEx(&module, image.c_str(), 2, options, values);
  isRefused = isRefusal(result);
  if (result == CUDA_SUCCESS)
    return {};
  Error error = driver.failure(result, "cuModuleLoadDataEx");
  if (*log)
    error.message += std::string("; its log: ") + log;
  return error;
}

Status CudaProgram::findFunctions(Loaded &loaded) const {
  const CudaDriver &driver = device->driver();
  for (const PlanKernel &kernel : plan().kernels) {
    CUfunction function = nullptr;
    NYSJIT_RETURN_IF_ERROR(driver.check(
        driver.api().cuModuleGetFunction(&function, loaded.module, kernel.name.c_str()),
        "cuModuleGetFunction (" + kernel.name + ")"));
    if (kernel.sharedBytes > sharedBytesWithoutAsking)
      NYSJIT_RETURN_IF_ERROR(driver.check(
          driver.api().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                          static_cast<int>(kernel.sharedBytes)),
          "cuFuncSetAttribute (" + kernel.name + ", " + std::to_string(kernel.sharedBytes) +
              " bytes of shared memory)"));
    loaded.functions.push_back(function);
  }
  return {};
}

Status CudaProgram::run(const ProgramRun &run) const {
  if (!device)
    return Error::mismatch(ErrorKind::Unavailable, "device",
                           "a context with a device for " + plan().target, "none");
  // The numbers of this run, and what is wrong with them.
  RunNumbers numbers;
  NYSJIT_RETURN_IF_ERROR(prepared.bind(run, {kDLCUDA, -1}, numbers));
  if (numbers.last == SIZE_MAX)
    return {};
  if (run.workspace)
    NYSJIT_RETURN_IF_ERROR(prepared.checkWorkspace(run, numbers));
  // The context, the program in it, and whether the tensors lie on its device.
  const int ordinal = plan().arguments.empty() ? 0 : run.tensors[0]->device.device_id;
  Result<ContextScope> scope = ContextScope::enter(*device, ordinal);
  NYSJIT_RETURN_IF_ERROR(scope);
  Result<const Loaded *> loaded = loadedIn(scope->context());
  NYSJIT_RETURN_IF_ERROR(loaded);
  if (!plan().arguments.empty() && ordinal != (*loaded)->ordinal)
    return Error::mismatch(ErrorKind::InvalidShape, plan().arguments[0].name + ".device",
                           "device " + std::to_string((*loaded)->ordinal) +
                               ", the current context's",
                           "device " + std::to_string(ordinal));
  // Memory, and with its address the parameters of every launch, before any of them runs. Whoever
  // has the lease enqueues all its launches before another run on the stream does.
  Result<StreamWorkspaces::Lease> lease = device->workspaces().reserve(
      device->driver(), scope->context(), static_cast<CUstream>(run.stream),
      run.workspace ? 0 : numbers.workspaceBytes);
  NYSJIT_RETURN_IF_ERROR(lease);
  void *workspace = run.workspace ? run.workspace : reinterpret_cast<void *>(lease->memory);
  NYSJIT_RETURN_IF_ERROR(prepared.fill(workspace, run, numbers));
  return run.observer.observe ? measureAll(**loaded, numbers, run)
                              : launchAll(**loaded, numbers, run);
}

CUresult CudaProgram::launch(const Loaded &loaded, size_t number, int64_t grid,
                             const uint64_t *values, CUstream stream, bool overlaps) const {
  const PlanKernel &kernel = prepared.kernel(number);
  void *parameters[maxPlanParameters]; // each in the low bytes of its value
  for (size_t i = 0; i < kernel.parameters.size(); ++i)
    parameters[i] = const_cast<uint64_t *>(values + i);
  const CUfunction function = loaded.functions[prepared.kernelNumber(number)];
  const auto blocks = static_cast<unsigned>(grid);
  const auto threads = static_cast<unsigned>(kernel.blockThreads);
  const auto shared = static_cast<unsigned>(kernel.sharedBytes);
  const CudaDriver &driver = device->driver();
  if (!overlaps)
    return driver.api().cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, stream,
                                       parameters, nullptr);
  CUlaunchAttribute overlap = {};
  overlap.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  overlap.value.programmaticStreamSerializationAllowed = 1;
  const CUlaunchConfig config = {blocks, 1, 1, threads, 1, 1, shared, stream, &overlap, 1};
  return driver.api().cuLaunchKernelEx(&config, function, parameters, nullptr);
}

Status CudaProgram::launchAll(const Loaded &loaded, const RunNumbers &numbers,
                              const ProgramRun &run) const {
  const uint64_t *values = numbers.parameters;
  for (size_t i = 0; i <= numbers.last; ++i) {
    if (numbers.grids[i] == 0)
      continue;
    const bool isFirst = values == numbers.parameters;
    const bool overlaps =
        !isFirst && prepared.kernel(i).mayOverlap && device->driver().version() >= overlapsInGraphs;
    const CUresult result =
        launch(loaded, i, numbers.grids[i], values, static_cast<CUstream>(run.stream), overlaps);
    if (result != CUDA_SUCCESS)
      return device->driver().failure(result,
                                      (overlaps ? "cuLaunchKernelEx (" : "cuLaunchKernel (") +
                                          prepared.kernel(i).name + ")");
    values += prepared.kernel(i).parameters.size();
  }
  return {};
}

/// The same with an event before, between and after the launches. Waits for the last.
Status CudaProgram::measureAll(const Loaded &loaded, const RunNumbers &numbers,
                               const ProgramRun &run) const {
  const CUstream stream = static_cast<CUstream>(run.stream);
  Events events(device->driver());
  NYSJIT_RETURN_IF_ERROR(events.record(stream));
  const uint64_t *values = numbers.parameters;
  for (size_t i = 0; i <= numbers.last; ++i) {
    if (numbers.grids[i] == 0)
      continue;
    NYSJIT_RETURN_IF_ERROR(device->driver().check(
        launch(loaded, i, numbers.grids[i], values, stream, /*overlaps=*/false),
        "cuLaunchKernel (" + prepared.kernel(i).name + ")"));
    NYSJIT_RETURN_IF_ERROR(events.record(stream));
    if (run.observer.enqueued)
      run.observer.enqueued(run.observer.context);
    values += prepared.kernel(i).parameters.size();
  }
  NYSJIT_RETURN_IF_ERROR(events.wait());
  size_t launched = 0;
  for (size_t i = 0; i <= numbers.last; ++i) {
    if (numbers.grids[i] == 0)
      continue;
    Result<double> ms = events.ms(launched++);
    NYSJIT_RETURN_IF_ERROR(ms);
    const PlanKernel &kernel = prepared.kernel(i);
    run.observer.observe(run.observer.context, kernel.name.c_str(), numbers.grids[i],
                         kernel.blockThreads, *ms);
  }
  return {};
}

} // namespace nysjit
