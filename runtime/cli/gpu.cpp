// Through the driver that the runtime has opened.
#include "runtime/cli/gpu.h"

namespace nysjit::cli {

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

Status GpuSession::configure(const RunOptions &options, const Target &target) const {
  const auto configure = reinterpret_cast<decltype(&nysjit_emulator_configure)>(
      driver().symbol("nysjit_emulator_configure"));
  if (!device->isEmulator() || !configure)
    return {};
  nysjit_emulator_options given = {};
  given.size = sizeof given;
  given.lazy = options.isLazy;
  given.seed = options.seed;
  given.compute_capability = target.sm;
  if (configure(&given) == 0)
    return {};
  return Error::mismatch(ErrorKind::Unavailable, "ptx-emulator", "an emulator of this version",
                         driver().library());
}

LaunchRecorder::LastCounts GpuSession::lastCounts() const {
  if (!device->isEmulator())
    return nullptr;
  return reinterpret_cast<LaunchRecorder::LastCounts>(
      driver().symbol("nysjit_emulator_last_counts"));
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
                                                     const Tensor &tensor) {
  std::unique_ptr<GpuTensor> result(new GpuTensor(session));
  const CudaDriver &driver = session.driver();
  const size_t bytes = tensor.bytes.size();
  NYSJIT_RETURN_IF_ERROR(
      driver.check(driver.api().cuMemAlloc(&result->memory, std::max<size_t>(bytes, 1)),
                   "cuMemAlloc of " + std::to_string(bytes) + " bytes"));
  if (bytes > 0)
    NYSJIT_RETURN_IF_ERROR(driver.check(
        driver.api().cuMemcpyHtoD(result->memory, tensor.bytes.data(), bytes), "cuMemcpyHtoD"));
  result->view.emplace(tensor, result->memory);
  return result;
}

GpuTensor::~GpuTensor() {
  if (memory)
    (void)session.driver().api().cuMemFree(memory);
}

Status GpuTensor::copyTo(Tensor &tensor) const {
  const CudaDriver &driver = session.driver();
  if (tensor.bytes.empty())
    return {};
  return driver.check(driver.api().cuMemcpyDtoH(tensor.bytes.data(), memory, tensor.bytes.size()),
                      "cuMemcpyDtoH");
}

} // namespace nysjit::cli
