// Loading and launching.
#include "runtime/gpu/gpu_kernel.h"

namespace nysjit {

Result<std::unique_ptr<GpuKernel>> GpuKernel::load(const CudaDriver &driver, const std::string &ptx,
                                                   const char *name) {
  std::unique_ptr<GpuKernel> kernel(new GpuKernel(driver));
  NYSJIT_RETURN_IF_ERROR(driver.check(driver.api().cuModuleLoadData(&kernel->module, ptx.c_str()),
                                      "cuModuleLoadData"));
  NYSJIT_RETURN_IF_ERROR(
      driver.check(driver.api().cuModuleGetFunction(&kernel->function, kernel->module, name),
                   "cuModuleGetFunction"));
  return kernel;
}

GpuKernel::~GpuKernel() {
  if (module)
    (void)driver.api().cuModuleUnload(module);
}

Status GpuKernel::launch(CUstream stream, int blocks, int threads,
                         std::vector<void *> parameters) const {
  return driver.check(driver.api().cuLaunchKernel(function, static_cast<unsigned>(blocks), 1, 1,
                                                  static_cast<unsigned>(threads), 1, 1, 0, stream,
                                                  parameters.data(), nullptr),
                      "cuLaunchKernel");
}

} // namespace nysjit
