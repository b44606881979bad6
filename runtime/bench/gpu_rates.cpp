// Of the first GPU.
#include "runtime/bench/gpu_rates.h"
#include "runtime/gpu/gpu_peaks.h"
#include "runtime/gpu/gpu_timer.h"

#include <algorithm>

namespace nysjit::bench {

Result<Rates> takeGpuRates(std::shared_ptr<CudaDevice> device, const KernelSpec &spec) {
  Result<std::unique_ptr<GpuSession>> session = GpuSession::open(std::move(device));
  NYSJIT_RETURN_IF_ERROR(session);
  Result<std::unique_ptr<GpuStream>> stream = GpuStream::create(**session);
  NYSJIT_RETURN_IF_ERROR(stream);
  constexpr size_t leastBytes = size_t(64) << 20;
  constexpr size_t mostBytes = size_t(1) << 30;
  const CudaDriver &driver = (*session)->driver();
  Result<double> copies = copyRate(driver, (*stream)->get(),
                                   std::clamp(4 * (*session)->l2Bytes(), leastBytes, mostBytes));
  NYSJIT_RETURN_IF_ERROR(copies);
  Result<double> products = mmaRate(driver, (*stream)->get(), (*session)->gpu().multiprocessors);
  NYSJIT_RETURN_IF_ERROR(products);
  const double share = spec.dtype != DType::Float32              ? 1
                       : spec.float32Math == Float32Math::Tf32x3 ? 1.0 / 6
                                                                 : 1.0 / 2;
  return Rates{*copies, *products * share, 0};
}

} // namespace nysjit::bench
