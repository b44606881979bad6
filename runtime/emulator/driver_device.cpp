// cuInit, the device, its primary context and the names of errors.
#include "runtime/emulator/driver_state.h"

#include <algorithm>
#include <cstring>

using namespace nysjit::emulator;

namespace nysjit::emulator {

// CUDA C++ Programming Guide, table of technical specifications per compute capability.
const Device &deviceFacts(int capability) {
  static const Device devices[] = {
      {75, 64 << 10, 1024}, {80, 163 << 10, 2048}, {86, 99 << 10, 1536},   {87, 163 << 10, 1536},
      {89, 99 << 10, 1536}, {90, 227 << 10, 2048}, {100, 227 << 10, 2048}, {120, 99 << 10, 1536},
  };
  const Device *newest = devices;
  for (const Device &device : devices)
    if (device.capability <= capability)
      newest = &device;
  return *newest;
}

} // namespace nysjit::emulator

namespace {

struct ErrorText {
  int number;
  const char *name;
  const char *text;
};
const ErrorText errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
     "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "capture was not ended in the same stream as it began"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const ErrorText *errorText(CUresult error) {
  auto found = std::find_if(std::begin(errors), std::end(errors),
                            [&](const ErrorText &one) { return one.number == int(error); });
  return found == std::end(errors) ? nullptr : &*found;
}

/// As the driver: NULL and INVALID_VALUE for an unknown error; needs no cuInit.
CUresult nameError(CUresult error, const char **out, const char *ErrorText::*member) {
  if (!out)
    return CUDA_ERROR_INVALID_VALUE;
  const ErrorText *found = errorText(error);
  *out = found ? found->*member : nullptr;
  return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult checkDevice(const Driver &state, const void *out, CUdevice device) {
  if (!state.initialized)
    return CUDA_ERROR_NOT_INITIALIZED;
  if (!out)
    return CUDA_ERROR_INVALID_VALUE;
  return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

constexpr int l2Bytes = 1 << 20; // there is none: small, so that walking over it is quick

std::optional<int> deviceAttribute(int attribute, int capability) {
  const Device &device = deviceFacts(capability);
  switch (attribute) {
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
  case 2: // MAX_BLOCK_DIM_X
  case 3: // MAX_BLOCK_DIM_Y
    return 1024;
  case 4: // MAX_BLOCK_DIM_Z
    return 64;
  case 5: // MAX_GRID_DIM_X
    return 0x7fffffff;
  case 6: // MAX_GRID_DIM_Y
  case 7: // MAX_GRID_DIM_Z
    return 65535;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return defaultSharedBytes;
  case 9: // TOTAL_CONSTANT_MEMORY
    return 65536;
  case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
  case 12: // MAX_REGISTERS_PER_BLOCK
  case 82: // MAX_REGISTERS_PER_MULTIPROCESSOR
    return 65536;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return multiprocessors;
  case 31: // CONCURRENT_KERNELS
  case 41: // UNIFIED_ADDRESSING
    return 1;
  case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return l2Bytes;
  case 39: // MAX_THREADS_PER_MULTIPROCESSOR
    return device.threadsPerMultiprocessor;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return capability / 10;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return capability % 10;
  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: a block's opt-in and the KiB that the system takes
  case 81: return device.optInSharedBytes + 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return device.optInSharedBytes;
  case 111: // RESERVED_SHARED_MEMORY_PER_BLOCK
    return 1024;
  }
  return std::nullopt;
}

} // namespace

CUresult cuInit(unsigned flags) {
  return call(Symbol::cuInit, [&](Driver &state) {
    if (flags != 0)
      return CUDA_ERROR_INVALID_VALUE;
    state.initialized = true;
    return CUDA_SUCCESS;
  });
}

CUresult cuDriverGetVersion(int *version) {
  return call(Symbol::cuDriverGetVersion, [&](Driver &) {
    if (!version)
      return CUDA_ERROR_INVALID_VALUE;
    *version = 13000; // the newest whose PTX, 9.0, it takes
    return CUDA_SUCCESS;
  });
}

CUresult cuGetErrorName(CUresult error, const char **name) {
  return call(Symbol::cuGetErrorName,
              [&](Driver &) { return nameError(error, name, &ErrorText::name); });
}

CUresult cuGetErrorString(CUresult error, const char **text) {
  return call(Symbol::cuGetErrorString,
              [&](Driver &) { return nameError(error, text, &ErrorText::text); });
}

CUresult cuDeviceGetCount(int *count) {
  return call(Symbol::cuDeviceGetCount, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, count, 0));
    *count = 1;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  return call(Symbol::cuDeviceGet, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, device, ordinal));
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  return call(Symbol::cuDeviceGetName, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, name, device));
    if (length <= 0)
      return CUDA_ERROR_INVALID_VALUE;
    std::strncpy(name, "nysjit PTX emulator", size_t(length));
    name[length - 1] = '\0';
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice device) {
  return call(Symbol::cuDeviceGetPCIBusId, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, id, device));
    constexpr char own[] = "0000:00:00.0";
    if (length < int(sizeof own))
      return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(id, own, sizeof own);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  return call(Symbol::cuDeviceGetAttribute, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, value, device));
    const std::optional<int> found = deviceAttribute(attribute, state.capability);
    if (!found)
      return CUDA_ERROR_INVALID_VALUE;
    *value = *found;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  return call(Symbol::cuDeviceTotalMem, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, bytes, device));
    *bytes = totalMemory;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  return call(Symbol::cuDevicePrimaryCtxRetain, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, context, device));
    if (!state.primary)
      state.primary = std::make_unique<Context>();
    if (!state.primaryHandle)
      state.primaryHandle = reinterpret_cast<CUcontext>(nextHandle());
    ++state.primaryRetains;
    *context = state.primaryHandle;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return call(Symbol::cuDevicePrimaryCtxRelease, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, &state, device));
    if (state.primaryRetains == 0)
      return CUDA_ERROR_INVALID_CONTEXT;
    if (--state.primaryRetains == 0)
      state.primary.reset();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext *context) {
  return call(Symbol::cuCtxGetCurrent, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, context, 0));
    *context = contextStack().empty() ? nullptr : contextStack().back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return call(Symbol::cuCtxSetCurrent, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, &state, 0));
    if (context && context != state.primaryHandle)
      return CUDA_ERROR_INVALID_CONTEXT;
    if (!contextStack().empty())
      contextStack().pop_back();
    if (context)
      contextStack().push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return call(Symbol::cuCtxPushCurrent, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, &state, 0));
    if (!context || context != state.primaryHandle)
      return CUDA_ERROR_INVALID_CONTEXT;
    contextStack().push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  return call(Symbol::cuCtxPopCurrent, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, &state, 0));
    if (contextStack().empty())
      return CUDA_ERROR_INVALID_CONTEXT;
    if (context)
      *context = contextStack().back();
    contextStack().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice(CUdevice *device) {
  return call(Symbol::cuCtxGetDevice, [&](Driver &state) {
    NYSJIT_TRY(checkDevice(state, device, 0));
    if (contextStack().empty())
      return CUDA_ERROR_INVALID_CONTEXT;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize() {
  return call(Symbol::cuCtxSynchronize, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    NYSJIT_TRY(state.refuseWhileCapturing(*context));
    return context->synchronize();
  });
}
