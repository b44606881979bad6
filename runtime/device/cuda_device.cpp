// Contexts: the caller's if one is current, else a primary one for the length of the call.
#include "runtime/device/cuda_device.h"

namespace nysjit {

namespace {

std::string versionText(int capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

} // namespace

CudaDevice::CudaDevice(DeviceKind kind, std::shared_ptr<const CudaDriver> driver)
    : own(kind), library(std::move(driver)), primaries(library->gpus().size(), nullptr) {}

Result<std::shared_ptr<CudaDevice>> CudaDevice::open(DeviceKind kind) {
  Result<std::vector<std::string>> places =
      kind == DeviceKind::PtxEmulator ? ptxEmulatorPlaces() : cudaDriverPlaces();
  NYSJIT_RETURN_IF_ERROR(places);
  Result<std::shared_ptr<const CudaDriver>> driver = CudaDriver::open(*places);
  if (!driver) {
    Error error = driver.takeError();
    const std::string where = std::string("device ") + deviceName(kind);
    if (error.where == "device") // what is missing, else a call that failed
      return Error::mismatch(error.kind, where, error.expected, error.found);
    error.message = where + ": " + error.message;
    return error;
  }
  return std::shared_ptr<CudaDevice>(new CudaDevice(kind, std::move(*driver)));
}

CudaDevice::~CudaDevice() {
  // A driver that is shutting down or a context that is gone refuses; then there is nothing left to
  // free.
  blocks.release(*library);
  for (size_t ordinal = 0; ordinal < primaries.size(); ++ordinal)
    if (primaries[ordinal])
      (void)library->api().cuDevicePrimaryCtxRelease(library->gpus()[ordinal].handle);
}

Result<int> CudaDevice::currentOrdinal() const {
  CUdevice handle = 0;
  NYSJIT_RETURN_IF_ERROR(library->check(library->api().cuCtxGetDevice(&handle), "cuCtxGetDevice"));
  for (size_t ordinal = 0; ordinal < library->gpus().size(); ++ordinal)
    if (library->gpus()[ordinal].handle == handle)
      return static_cast<int>(ordinal);
  return Error::mismatch(ErrorKind::Unavailable, "device", "a current context on a listed device",
                         "another");
}

Result<Target> CudaDevice::defaultTarget() const {
  if (isEmulator())
    return parseTarget("cuda:sm_80");
  Result<CudaGpu> gpu = currentGpu();
  NYSJIT_RETURN_IF_ERROR(gpu);
  return targetForCapability(gpu->capability);
}

Result<CudaGpu> CudaDevice::currentGpu() const {
  CUcontext current = nullptr;
  NYSJIT_RETURN_IF_ERROR(
      library->check(library->api().cuCtxGetCurrent(&current), "cuCtxGetCurrent"));
  Result<int> ordinal = current ? currentOrdinal() : Result<int>(0);
  NYSJIT_RETURN_IF_ERROR(ordinal);
  return library->gpus()[static_cast<size_t>(*ordinal)];
}

Status CudaDevice::checkRuns(const Target &target, const CudaGpu &gpu) const {
  if (isEmulator() || gpu.capability >= target.sm)
    return {};
  return Error::mismatch(ErrorKind::Unavailable, targetName(target),
                         "a GPU of compute capability " + versionText(target.sm) + " or more",
                         gpu.name + " of " + versionText(gpu.capability));
}

Status CudaDevice::checkRuns(const Target &target) const {
  Status first;
  for (const CudaGpu &gpu : library->gpus()) {
    Status status = checkRuns(target, gpu);
    if (status)
      return status;
    if (first)
      first = std::move(status);
  }
  return first;
}

Result<CUcontext> CudaDevice::primaryContext(int ordinal) {
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= primaries.size())
    return Error::mismatch(ErrorKind::InvalidShape, "device_id",
                           "one of " + std::to_string(primaries.size()) +
                               " devices, counted from 0",
                           std::to_string(ordinal));
  const std::lock_guard lock(mutex);
  CUcontext &primary = primaries[static_cast<size_t>(ordinal)];
  if (!primary) {
    CUcontext retained = nullptr;
    NYSJIT_RETURN_IF_ERROR(
        library->check(library->api().cuDevicePrimaryCtxRetain(
                           &retained, library->gpus()[static_cast<size_t>(ordinal)].handle),
                       "cuDevicePrimaryCtxRetain"));
    primary = retained;
  }
  return primary;
}

Result<ContextScope> ContextScope::enter(CudaDevice &device, int ordinal) {
  const CudaDriver &driver = device.driver();
  CUcontext current = nullptr;
  if (CUresult result = driver.api().cuCtxGetCurrent(&current); result != CUDA_SUCCESS)
    return driver.failure(result, "cuCtxGetCurrent");
  if (current)
    return ContextScope(device, current, false);
  Result<CUcontext> primary = device.primaryContext(ordinal);
  NYSJIT_RETURN_IF_ERROR(primary);
  if (CUresult result = driver.api().cuCtxPushCurrent(*primary); result != CUDA_SUCCESS)
    return driver.failure(result, "cuCtxPushCurrent");
  return ContextScope(device, *primary, true);
}

ContextScope::ContextScope(ContextScope &&other) noexcept
    : device(other.device), current(other.current), isPushed(std::exchange(other.isPushed, false)) {
}

ContextScope::~ContextScope() {
  CUcontext popped = nullptr;
  if (isPushed)
    (void)device->driver().api().cuCtxPopCurrent(&popped);
}

} // namespace nysjit
