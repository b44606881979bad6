// What a launch would take on a GPU, from what the PTX emulator counted: a model, by which block
// sizes can be told apart that waste products, instructions or traffic. It knows nothing of
// latency, so num_stages does not matter to it; nor of occupancy and of how evenly a grid fills a
// GPU.
#pragma once
#include "runtime/emulator/emulator.h"
#include "runtime/spec/spec.h"

namespace nysjit::tune {

/// A GPU of a compute capability, as its vendor gives its rates: of one multiprocessor and cycle.
struct GpuRates {
  int capability;
  const char *gpu;         // whose numbers these are
  double mmaFlops;         // of 16-bit mma with float32 sums; float32 (tf32): half
  double bytes;            // from and to the GPU's memory
  double instructions = 4; // of warps
  int multiprocessors;
  double gigahertz;
};
/// Of the newest that is not newer.
const GpuRates &gpuRates(int capability);

/// What products, traffic (32 bytes a sector) and instructions take each, and the bank conflicts,
/// one cycle each, one after the other: the most of them alone would hide what is wasted of the
/// others. Spread over all multiprocessors.
double modelMs(const nysjit_emulator_counts &counts, const GpuRates &rates, DType dtype);

} // namespace nysjit::tune
