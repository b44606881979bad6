// The most that a GPU does, measured.
#pragma once
#include "runtime/cuda/driver.h"

#include <string>

namespace nysjit {

/// Bytes that a copy in the GPU's memory by the driver reads and writes, in 1e9 a second: `bytes`
/// of each, which should be more than the L2 holds. The best of some takes, here and below.
Result<double> copyRate(const CudaDriver &driver, CUstream stream, size_t bytes);

/// Operations of tensor cores in 1e9 a second: mma.sync of bfloat16 with float32 sums, in registers
/// alone, eight blocks a multiprocessor.
Result<double> mmaRate(const CudaDriver &driver, CUstream stream, int multiprocessors);

/// The kernel that mmaRate runs, mma_loop(u64 out, u32 turns), for sm_80 and later: each warp
/// multiplies 8 pairs of 16 x 16 and 16 x 8 tiles a turn. `out` may be null.
std::string mmaLoopPtx();

} // namespace nysjit
