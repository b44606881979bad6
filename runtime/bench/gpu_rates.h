// The most that a GPU does, measured: the roof over what a program reaches.
#pragma once
#include "runtime/bench/rates.h"
#include "runtime/device/cuda_device.h"
#include "runtime/spec/spec.h"

#include <memory>

namespace nysjit::bench {

/// Of the first GPU: copies by the driver in its memory, of four times what its L2 holds, and
/// products of the dtype by mma.sync in registers. float32's are tf32 products, of which there are
/// half as many a second as of 16 bits; with tf32x3 each takes three.
Result<Rates> takeGpuRates(std::shared_ptr<CudaDevice> device, const KernelSpec &spec);

} // namespace nysjit::bench
