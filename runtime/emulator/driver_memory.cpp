// Device memory and its copies. Host memory is taken as given: the emulator cannot know what a host
// pointer is worth.
#include "runtime/emulator/driver_state.h"

using namespace nysjit::emulator;

namespace {

/// A copy that waits for the device: on the legacy stream, as the driver's, so refused while a
/// blocking stream captures.
CUresult copyNow(Driver &state, const void *host, CUdeviceptr device, Operation operation,
                 size_t bytes) {
  Context *context;
  NYSJIT_TRY(state.current(context));
  if (bytes == 0)
    return CUDA_SUCCESS;
  std::shared_ptr<Stream> legacy;
  NYSJIT_TRY(state.stream(*context, nullptr, legacy));
  NYSJIT_TRY(state.refuseWhileCapturing(*context));
  if (!host || !context->memory.contains(device, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  NYSJIT_TRY(context->synchronize());
  NYSJIT_TRY(state.perform(*context, operation));
  return CUDA_SUCCESS;
}

/// Work for a stream on device memory at one or two places.
CUresult enqueueOn(Driver &state, CUstream handle, std::initializer_list<CUdeviceptr> places,
                   const void *host, bool needsHost, size_t bytes, Operation operation) {
  Context *context;
  NYSJIT_TRY(state.current(context));
  std::shared_ptr<Stream> stream;
  NYSJIT_TRY(state.stream(*context, handle, stream));
  if (bytes == 0)
    return CUDA_SUCCESS;
  if (needsHost && !host)
    return CUDA_ERROR_INVALID_VALUE;
  for (CUdeviceptr place : places)
    if (!context->memory.contains(place, bytes))
      return CUDA_ERROR_INVALID_VALUE;
  return state.enqueue(*context, *stream, std::move(operation));
}

} // namespace

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  return call(Symbol::cuMemAlloc, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!address || bytes == 0)
      return CUDA_ERROR_INVALID_VALUE;
    NYSJIT_TRY(state.refuseWhileCapturing(*context));
    if (bytes > totalMemory - context->allocatedBytes)
      return CUDA_ERROR_OUT_OF_MEMORY;
    const uint64_t got = context->memory.allocate(bytes);
    if (!got)
      return CUDA_ERROR_OUT_OF_MEMORY;
    context->allocations.emplace(got, bytes);
    context->allocatedBytes += bytes;
    *address = got;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return call(Symbol::cuMemFree, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.currentEvenFaulted(context));
    // Variables of modules live in the same memory and are not the caller's to free.
    auto found = context->allocations.find(address);
    if (found == context->allocations.end())
      return CUDA_ERROR_INVALID_VALUE;
    NYSJIT_TRY(state.refuseWhileCapturing(*context));
    context->memory.free(address);
    context->allocatedBytes -= found->second;
    context->allocations.erase(found);
    return context->synchronize();
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  return call(Symbol::cuMemcpyHtoD, [&](Driver &state) {
    return copyNow(state, from, to, CopyIn{to, from, bytes}, bytes);
  });
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  return call(Symbol::cuMemcpyDtoH, [&](Driver &state) {
    return copyNow(state, to, from, CopyOut{to, from, bytes}, bytes);
  });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  return call(Symbol::cuMemcpyHtoDAsync, [&](Driver &state) {
    return enqueueOn(state, stream, {to}, from, true, bytes, CopyIn{to, from, bytes});
  });
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return call(Symbol::cuMemcpyDtoHAsync, [&](Driver &state) {
    return enqueueOn(state, stream, {from}, to, true, bytes, CopyOut{to, from, bytes});
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return call(Symbol::cuMemcpyDtoDAsync, [&](Driver &state) {
    return enqueueOn(state, stream, {to, from}, nullptr, false, bytes, CopyWithin{to, from, bytes});
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  return call(Symbol::cuMemsetD8Async, [&](Driver &state) {
    return enqueueOn(state, stream, {to}, nullptr, false, bytes, Fill{to, value, bytes});
  });
}
