// The most that this machine's CPUs do, measured: the roof over what a program reaches. gpu_rates.h
// is of a GPU.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/target.h"

#include <cstddef>

namespace nysjit::bench {

struct Rates {
  double copyGbS = 0;       // bytes read and bytes written, 1e9 a second, beyond the last cache
  double productGflopS = 0; // multiply-adds in registers, two operations each
  int vectorBits = 0;       // of those multiply-adds; 0: a GPU's tensor cores
};

/// The larger of each.
Rates best(const Rates &a, const Rates &b);

/// Parts of equal work that a take is cut into: threads beyond the CPUs add none.
size_t sharesOf(size_t threads, size_t cpus);

/// Takes some tenths of a second on so many threads. Multiply-adds are of the width that code for
/// `target` has, on cpu:native the machine's. Unavailable for a target that does not run here; Io
/// without the memory for the buffers, 64 MiB to 512 MiB.
Result<Rates> takeCpuRates(const Target &target, size_t threads);

} // namespace nysjit::bench
