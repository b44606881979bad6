// The fake driver's devices, contexts, modules and memory; each function begins by saying its name.
#include "tests/runtime/fake_driver_state.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

extern "C" {
void row_sum(const uint64_t *parameters, int64_t cell, void *scratch);
void scaled_copy(const uint64_t *parameters, int64_t cell, void *scratch);
}

namespace fake_driver {

State state;
CUfunc_st functions[2] = {{row_sum, "ppililll"},
                          {scaled_copy, "ppililll"
                                        "plllfi"}};
thread_local std::vector<CUcontext> stack;

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

void live(int change) {
  const std::lock_guard lock(state.mutex);
  state.live += change;
}

} // namespace fake_driver

using namespace fake_driver;

namespace {

constexpr int deviceCount = 2;
CUctx_st primaries[deviceCount] = {{0}, {1}};

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
CUcontext fake_driver_new_context(int device) {
  const std::lock_guard lock(state.mutex);
  return state.contexts.emplace_back(new CUctx_st{device}).get();
}
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
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? state.capability / 10
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? state.capability % 10
                                                                       : fake_multiprocessors;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
  BEGIN(cuDeviceTotalMem);
  *bytes = (size_t(8) << 30) - (size_t(1) << 28); // as GPUs have: not all of its 8 GiB
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice) {
  BEGIN(cuDeviceGetPCIBusId);
  std::strncpy(id, "0000:0a:00.0", static_cast<size_t>(length));
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

} // extern "C"
