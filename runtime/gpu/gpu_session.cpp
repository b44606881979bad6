// Through the driver that the runtime has opened.
#include "runtime/gpu/gpu_session.h"

#include <algorithm>

namespace nysjit {

Result<std::unique_ptr<GpuSession>> GpuSession::open(std::shared_ptr<CudaDevice> device) {
  Result<CUcontext> context = device->primaryContext(0);
  NYSJIT_RETURN_IF_ERROR(context);
  const CudaDriver &driver = device->driver();
  NYSJIT_RETURN_IF_ERROR(driver.check(driver.api().cuCtxPushCurrent(*context), "cuCtxPushCurrent"));
  return std::unique_ptr<GpuSession>(new GpuSession(std::move(device)));
}

GpuSession::~GpuSession() {
  CUcontext popped = nullptr;
  (void)driver().api().cuCtxPopCurrent(&popped);
}

std::string GpuSession::pciBusId() const {
  char id[32] = {};
  const CUresult found = driver().api().cuDeviceGetPCIBusId(id, int(sizeof id) - 1, gpu().handle);
  return found == CUDA_SUCCESS ? id : "";
}

size_t GpuSession::l2Bytes() const {
  int bytes = 0;
  const CUresult found =
      driver().api().cuDeviceGetAttribute(&bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, gpu().handle);
  return found == CUDA_SUCCESS ? size_t(bytes) : 0;
}

void GpuSession::forgetFaults() const {
  if (const auto reset = reinterpret_cast<decltype(&nysjit_emulator_reset)>(
          driver().symbol("nysjit_emulator_reset")))
    reset();
}

Status GpuSession::configure(const EmulatorSchedule &schedule, const Target &target) const {
  const auto configure = reinterpret_cast<decltype(&nysjit_emulator_configure)>(
      driver().symbol("nysjit_emulator_configure"));
  if (!device->isEmulator() || !configure)
    return {};
  nysjit_emulator_options given = {};
  given.size = sizeof given;
  given.lazy = schedule.isLazy;
  given.seed = schedule.seed;
  given.compute_capability = target.sm;
  if (configure(&given) == 0)
    return {};
  return Error::mismatch(ErrorKind::Unavailable, "ptx-emulator", "an emulator of this version",
                         driver().library());
}

GpuSession::LastCounts GpuSession::lastCounts() const {
  if (!device->isEmulator())
    return nullptr;
  return reinterpret_cast<LastCounts>(driver().symbol("nysjit_emulator_last_counts"));
}

Status GpuSession::checkLaunches() const {
  NYSJIT_RETURN_IF_ERROR(driver().check(driver().api().cuCtxSynchronize(), "cuCtxSynchronize"));
  const std::string report = driver().emulatorReport();
  if (report.empty())
    return {};
  return Error::mismatch(ErrorKind::CheckFailed, "ptx-emulator",
                         "kernels without races and the like", "\n" + report);
}

Result<std::unique_ptr<GpuTensor>> GpuTensor::create(const GpuSession &session,
                                                     const DLTensor &host) {
  std::unique_ptr<GpuTensor> tensor(new GpuTensor(session));
  tensor->shape.assign(host.shape, host.shape + host.ndim);
  tensor->size = size_t(host.dtype.bits) / 8;
  for (const int64_t extent : tensor->shape)
    tensor->size *= size_t(extent);
  Result<std::unique_ptr<DeviceMemory>> memory =
      DeviceMemory::allocate(session.driver(), tensor->size);
  NYSJIT_RETURN_IF_ERROR(memory);
  tensor->memory = std::move(*memory);
  const char *data = static_cast<const char *>(host.data) + host.byte_offset;
  NYSJIT_RETURN_IF_ERROR(tensor->memory->write(data, tensor->size));
  tensor->view = host;
  tensor->view.data = reinterpret_cast<void *>(tensor->memory->address);
  tensor->view.byte_offset = 0;
  tensor->view.device = {kDLCUDA, 0};
  tensor->view.shape = tensor->shape.data();
  tensor->view.strides = nullptr;
  return tensor;
}

Status GpuTensor::copyTo(void *host) const { return memory->read(host, size); }

Status GpuTensor::fill(unsigned char byte) const {
  const CudaDriver &driver = session.driver();
  if (size == 0)
    return {};
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuMemsetD8Async(memory->address, byte, size, nullptr), "cuMemsetD8Async"));
  return driver.check(driver.api().cuCtxSynchronize(), "cuCtxSynchronize");
}

} // namespace nysjit
