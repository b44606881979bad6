// One state under one lock; each function begins by saying its name.
#include "tests/runtime/fake_driver.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

extern "C" {
void row_sum(const uint64_t *parameters, int64_t program, void *scratch);
void scaled_copy(const uint64_t *parameters, int64_t program, void *scratch);
}

struct CUctx_st {
  int device;
};
struct CUmod_st {
  bool isCubin;
};
struct Recorded {
  CUfunction function;
  unsigned grid;
  std::vector<uint64_t> slots;
};
struct CUgraph_st {
  std::vector<Recorded> launches;
};
struct CUgraphExec_st {
  std::vector<Recorded> launches;
};
struct CUstream_st {
  std::optional<CUgraph_st> capture;
};
struct CUevent_st {
  int order = 0;
};
struct CUfunc_st {
  void (*kernel)(const uint64_t *, int64_t, void *);
  const char *types; // of parameters: p pointer, i i32, l i64, f f32
  unsigned sharedLimit = 48 << 10;
};

namespace {

constexpr int deviceCount = 2;
CUctx_st primaries[deviceCount] = {{0}, {1}};
CUfunc_st functions[] = {{row_sum, "ppililll"},
                         {scaled_copy, "ppililll"
                                       "plllfi"}};
thread_local std::vector<CUcontext> stack;

struct State {
  std::mutex mutex;
  std::map<std::string, int> calls;
  std::multimap<std::pair<std::string, int>, CUresult> injected;
  std::string called;
  bool isReady = false;
  bool refusesCubins = false;
  int version = 13000;
  int capability = 90;
  int live = 0;
  int eventCount = 0;
  int interleaved = 0;
  std::thread::id runner; // whose row_sum ran last and waits for its scaled_copy
  bool isInRun = false;
};
State state;

/// Counts the call; the failure that was ordered for it, if any.
CUresult begin(const char *name) {
  const std::lock_guard lock(state.mutex);
  const auto found = state.injected.find({name, state.calls[name]++});
  if (found == state.injected.end())
    return std::strcmp(name, "cuInit") != 0 && !state.isReady ? CUDA_ERROR_NOT_INITIALIZED
                                                              : CUDA_SUCCESS;
  const CUresult result = found->second;
  state.injected.erase(found);
  return result;
}

#define BEGIN(name)                                                                                \
  if (const CUresult result = begin(#name); result != CUDA_SUCCESS)                                \
  return result
#define BEGIN_IN_CONTEXT(name)                                                                     \
  BEGIN(name);                                                                                     \
  if (stack.empty() || !stack.back())                                                              \
  return CUDA_ERROR_INVALID_CONTEXT

void live(int change) {
  const std::lock_guard lock(state.mutex);
  state.live += change;
}

void perform(const Recorded &launch) {
  alignas(64) static thread_local char scratch[2048];
  for (unsigned program = 0; program < launch.grid; ++program)
    launch.function->kernel(launch.slots.data(), program, scratch);
}

/// A run is row_sum, then scaled_copy, of one thread.
void watchOrder(const CUfunc_st *function) {
  const std::lock_guard lock(state.mutex);
  const bool isFirst = function == &functions[0];
  if (state.isInRun ? isFirst || state.runner != std::this_thread::get_id() : !isFirst)
    ++state.interleaved;
  state.isInRun = isFirst;
  state.runner = std::this_thread::get_id();
}

CUresult load(CUmodule *module, const void *image, unsigned count, CUjit_option *options,
              void **values) {
  // room for another thread that loads it, too
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const bool isCubin = std::memcmp(image,
                                   "\x7f"
                                   "ELF",
                                   4) == 0;
  if (isCubin && state.refusesCubins)
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  if (!isCubin && !std::strstr(static_cast<const char *>(image), ".version")) {
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
        std::strcpy(static_cast<char *>(values[i]), "line 1: no .version");
    return CUDA_ERROR_INVALID_PTX;
  }
  live(+1);
  *module = new CUmod_st{isCubin};
  return CUDA_SUCCESS;
}

} // namespace

extern "C" {

void fake_driver_reset() {
  const std::lock_guard lock(state.mutex);
  state.calls.clear();
  state.injected.clear();
  state.refusesCubins = false;
  state.interleaved = 0;
  state.isInRun = false;
}
int fake_driver_calls(const char *name) {
  const std::lock_guard lock(state.mutex);
  return state.calls.count(name) ? state.calls[name] : 0;
}
const char *fake_driver_called() {
  const std::lock_guard lock(state.mutex);
  state.called.clear();
  for (const auto &[name, count] : state.calls)
    state.called += (state.called.empty() ? "" : " ") + name;
  return state.called.c_str();
}
void fake_driver_inject(const char *name, int after, CUresult result) {
  const std::lock_guard lock(state.mutex);
  state.injected.insert(
      {{name, (state.calls.count(name) ? state.calls[name] : 0) + after}, result});
}
void fake_driver_refuse_cubins(bool refuse) { state.refusesCubins = refuse; }
void fake_driver_capability(int capability) { state.capability = capability; }
void fake_driver_version(int version) { state.version = version; }
CUcontext fake_driver_new_context(int device) { return new CUctx_st{device}; }
int fake_driver_live() { return state.live; }
int fake_driver_interleaved() { return state.interleaved; }

CUresult cuInit(unsigned) {
  BEGIN(cuInit);
  state.isReady = true;
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int *version) {
  BEGIN(cuDriverGetVersion);
  *version = state.version;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char **name) {
  switch (error) {
  case CUDA_ERROR_OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; return CUDA_SUCCESS;
  case CUDA_ERROR_ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return CUDA_SUCCESS;
  case CUDA_ERROR_INVALID_PTX: *name = "CUDA_ERROR_INVALID_PTX"; return CUDA_SUCCESS;
  case CUDA_ERROR_NO_BINARY_FOR_GPU: *name = "CUDA_ERROR_NO_BINARY_FOR_GPU"; return CUDA_SUCCESS;
  case CUDA_ERROR_NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; return CUDA_SUCCESS;
  case CUDA_ERROR_LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; return CUDA_SUCCESS;
  default: return CUDA_ERROR_INVALID_VALUE;
  }
}
CUresult cuGetErrorString(CUresult, const char **text) {
  *text = "as the test ordered";
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int *count) {
  BEGIN(cuDeviceGetCount);
  *count = deviceCount;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  BEGIN(cuDeviceGet);
  *device = 100 + ordinal; // a handle is not a number to count with
  return ordinal < deviceCount ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  BEGIN(cuDeviceGetName);
  std::strncpy(name, "Fake GPU", static_cast<size_t>(length));
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
  BEGIN(cuDeviceGetAttribute);
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? state.capability / 10
                                                                     : state.capability % 10;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
  BEGIN(cuDeviceTotalMem);
  *bytes = size_t(1) << 33;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  BEGIN(cuDevicePrimaryCtxRetain);
  live(+1);
  *context = &primaries[device - 100];
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  BEGIN(cuDevicePrimaryCtxRelease);
  live(-1);
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext *context) {
  BEGIN(cuCtxGetCurrent);
  *context = stack.empty() ? nullptr : stack.back();
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  BEGIN(cuCtxSetCurrent);
  if (!stack.empty())
    stack.pop_back();
  if (context)
    stack.push_back(context);
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
  BEGIN(cuCtxPushCurrent);
  stack.push_back(context);
  return CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  BEGIN_IN_CONTEXT(cuCtxPopCurrent);
  *context = stack.back();
  stack.pop_back();
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice *device) {
  BEGIN_IN_CONTEXT(cuCtxGetDevice);
  *device = 100 + stack.back()->device;
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize(void) {
  BEGIN_IN_CONTEXT(cuCtxSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  BEGIN_IN_CONTEXT(cuModuleLoadData);
  return load(module, image, 0, nullptr, nullptr);
}
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count,
                            CUjit_option *options, void **values) {
  BEGIN_IN_CONTEXT(cuModuleLoadDataEx);
  return load(module, image, count, options, values);
}
CUresult cuModuleUnload(CUmodule module) {
  BEGIN_IN_CONTEXT(cuModuleUnload);
  live(-1);
  delete module;
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
  BEGIN_IN_CONTEXT(cuModuleGetFunction);
  *function = &functions[std::strcmp(name, "row_sum") == 0 ? 0 : 1];
  return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr *, size_t *, CUmodule, const char *) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuFuncGetAttribute(int *, CUfunction_attribute, CUfunction) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute, int value) {
  BEGIN_IN_CONTEXT(cuFuncSetAttribute);
  function->sharedLimit = static_cast<unsigned>(value);
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  BEGIN_IN_CONTEXT(cuMemAlloc);
  live(+1);
  *address = reinterpret_cast<uintptr_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  BEGIN_IN_CONTEXT(cuMemFree);
  live(-1);
  std::free(reinterpret_cast<void *>(address));
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  BEGIN_IN_CONTEXT(cuMemcpyHtoD);
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  BEGIN_IN_CONTEXT(cuMemcpyDtoH);
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void *, size_t, CUstream) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, CUstream) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, size_t, CUstream) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemsetD8Async(CUdeviceptr, unsigned char, size_t, CUstream) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamCreate(CUstream *stream, unsigned) {
  BEGIN_IN_CONTEXT(cuStreamCreate);
  *stream = new CUstream_st;
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  BEGIN_IN_CONTEXT(cuStreamDestroy);
  delete stream;
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  BEGIN_IN_CONTEXT(cuStreamSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuStreamGetCtx(CUstream, CUcontext *) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
  BEGIN_IN_CONTEXT(cuStreamBeginCapture);
  stream->capture.emplace();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  BEGIN_IN_CONTEXT(cuStreamEndCapture);
  *graph = new CUgraph_st(std::move(*stream->capture));
  stream->capture.reset();
  return CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
  BEGIN_IN_CONTEXT(cuStreamIsCapturing);
  *status =
      stream && stream->capture ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
  BEGIN_IN_CONTEXT(cuGraphInstantiate);
  *executable = new CUgraphExec_st{graph->launches};
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  BEGIN_IN_CONTEXT(cuGraphLaunch);
  for (const Recorded &launch : executable->launches)
    perform(launch);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete executable;
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete graph;
  return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned) {
  BEGIN_IN_CONTEXT(cuEventCreate);
  live(+1);
  *event = new CUevent_st;
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) {
  BEGIN_IN_CONTEXT(cuEventDestroy);
  live(-1);
  delete event;
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream) {
  BEGIN_IN_CONTEXT(cuEventRecord);
  event->order = ++state.eventCount;
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent) {
  BEGIN_IN_CONTEXT(cuEventSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuEventQuery(CUevent) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) {
  BEGIN_IN_CONTEXT(cuEventElapsedTime);
  *ms = 0.5f * static_cast<float>(end->order - start->order);
  return CUDA_SUCCESS;
}
static CUresult launch(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                       unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                       CUstream stream, void **parameters, void **extra) {
  if (gridX == 0 || gridY != 1 || gridZ != 1 || blockX != 32 || blockY != 1 || blockZ != 1 ||
      extra || sharedBytes > function->sharedLimit)
    return CUDA_ERROR_INVALID_VALUE;
  Recorded launch{function, gridX, {}};
  for (size_t i = 0; function->types[i]; ++i) {
    int32_t word;
    std::memcpy(&word, parameters[i], sizeof word);
    uint64_t slot = static_cast<uint64_t>(static_cast<int64_t>(word));
    if (function->types[i] != 'i' && function->types[i] != 'f')
      std::memcpy(&slot, parameters[i], sizeof slot);
    launch.slots.push_back(slot);
  }
  if (stream && stream->capture) {
    stream->capture->launches.push_back(std::move(launch));
    return CUDA_SUCCESS;
  }
  watchOrder(function);
  perform(launch);
  if (function == &functions[0]) // room for another run that does not wait its turn
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                        unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                        CUstream stream, void **parameters, void **extra) {
  BEGIN_IN_CONTEXT(cuLaunchKernel);
  return launch(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream,
                parameters, extra);
}
#ifndef FAKE_DRIVER_LACKS_LAUNCH_EX
CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                          void **extra) {
  BEGIN_IN_CONTEXT(cuLaunchKernelEx);
  const CUlaunchConfig &c = *config;
  if (c.numAttrs != 1 || c.attrs[0].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION ||
      c.attrs[0].value.programmaticStreamSerializationAllowed != 1)
    return CUDA_ERROR_INVALID_VALUE;
  return launch(function, c.gridDimX, c.gridDimY, c.gridDimZ, c.blockDimX, c.blockDimY, c.blockDimZ,
                c.sharedMemBytes, c.hStream, parameters, extra);
}
#endif

} // extern "C"
