// A kernel of one's own, as PTX.
#pragma once
#include "runtime/cuda/driver.h"

#include <memory>
#include <string>
#include <vector>

namespace nysjit {

/// A module with one kernel, in the current context. The driver outlives it.
class GpuKernel {
public:
  static Result<std::unique_ptr<GpuKernel>> load(const CudaDriver &driver, const std::string &ptx,
                                                 const char *name);
  ~GpuKernel();
  GpuKernel(const GpuKernel &) = delete;
  GpuKernel &operator=(const GpuKernel &) = delete;
  /// `parameters`: pointers to their values.
  Status launch(CUstream stream, int blocks, int threads, std::vector<void *> parameters) const;

private:
  explicit GpuKernel(const CudaDriver &driver) : driver(driver) {}
  const CudaDriver &driver;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
};

} // namespace nysjit
