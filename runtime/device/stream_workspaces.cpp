// Blocks by place; growth by at least doubling, so that what is kept of outgrown blocks is less
// than the block itself.
#include "runtime/device/stream_workspaces.h"

#include <algorithm>

namespace nysjit {

namespace {

/// An address that no other thread alive has.
uintptr_t threadMark() {
  [[gnu::tls_model("initial-exec")]] static thread_local char mark;
  return reinterpret_cast<uintptr_t>(&mark);
}

Error duringCapture(const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidArgument, "workspace",
                         "a workspace from the caller, or a run of this size on the stream before "
                         "its capture, because "
                         "the library's own cannot grow while the stream is being captured",
                         found);
}

/// Errors of the capture's own: 900 to 908.
bool isCaptureError(CUresult result) { return result >= 900 && result <= 908; }

} // namespace

StreamWorkspaces::Block &StreamWorkspaces::blockOf(CUcontext context, CUstream stream) {
  const bool isPerThread = reinterpret_cast<uintptr_t>(stream) == 2; // CU_STREAM_PER_THREAD
  // NULL and CU_STREAM_LEGACY are one stream
  const bool isLegacy = reinterpret_cast<uintptr_t>(stream) <= 1;
  const Place place(context, isLegacy ? nullptr : stream, isPerThread ? threadMark() : 0);
  const std::lock_guard lock(mutex);
  auto found = blocks.find(place);
  if (found == blocks.end())
    found = blocks.emplace(place, std::make_unique<Block>()).first;
  return *found->second;
}

Status StreamWorkspaces::grow(Block &block, const CudaDriver &driver, CUstream stream,
                              size_t bytes) {
  const CudaSymbols &api = driver.api();
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  // unlike an attempt to allocate, it spoils no capture
  CUresult result = api.cuStreamIsCapturing(stream, &status);
  if (isCaptureError(result) || (result == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE))
    return duringCapture(std::to_string(bytes) + " bytes needed, " + std::to_string(block.bytes) +
                         " at hand");
  if (result != CUDA_SUCCESS)
    return driver.failure(result, "cuStreamIsCapturing");
  const size_t doubled = block.bytes > SIZE_MAX / 2 ? bytes : std::max(bytes, 2 * block.bytes);
  block.outgrown.reserve(block.outgrown.size() + 1);
  CUdeviceptr memory = 0;
  size_t taken = doubled;
  result = api.cuMemAlloc(&memory, taken);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && doubled > bytes)
    result = api.cuMemAlloc(&memory, taken = bytes);
  if (isCaptureError(result))
    return duringCapture("a capture");
  if (result != CUDA_SUCCESS)
    return driver.failure(result, "cuMemAlloc of " + std::to_string(bytes) + " bytes of workspace");
  if (block.memory)
    block.outgrown.push_back(block.memory);
  block.memory = memory;
  block.bytes = taken;
  return {};
}

Result<StreamWorkspaces::Lease> StreamWorkspaces::reserve(const CudaDriver &driver,
                                                          CUcontext context, CUstream stream,
                                                          size_t bytes) {
  if (bytes == 0)
    return Lease();
  Block &block = blockOf(context, stream);
  Lease lease{std::unique_lock(block.mutex), 0};
  if (block.bytes < bytes)
    NYSJIT_RETURN_IF_ERROR(grow(block, driver, stream, bytes));
  lease.memory = block.memory;
  return lease;
}

void StreamWorkspaces::release(const CudaDriver &driver) {
  const CudaSymbols &api = driver.api();
  for (const auto &[place, block] : blocks) {
    CUcontext popped = nullptr;
    if (block->memory == 0 || api.cuCtxPushCurrent(std::get<CUcontext>(place)) != CUDA_SUCCESS)
      continue;
    for (CUdeviceptr memory : block->outgrown)
      (void)api.cuMemFree(memory);
    (void)api.cuMemFree(block->memory);
    (void)api.cuCtxPopCurrent(&popped);
  }
  blocks.clear();
}

} // namespace nysjit
