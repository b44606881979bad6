// Probes for a spec with learned ones, from queries at hand: for each query head the means of
// clusters of its queries. The C API's nysjit_calibrate and `nysjit calibrate` are this.
#pragma once
#include "runtime/base/result.h"
#include "runtime/device/threads.h"
#include "runtime/include/nysjit_calibrate.h"
#include "runtime/spec/spec.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace nysjit {

struct CalibrationRequest {
  KernelSpec spec;
  std::span<const nysjit_run_args> runs; // whole; the rest as in nysjit_calibrate_args
  const DLTensor *probes = nullptr;
  uint64_t seed = 0;
  nysjit_calibrated_head *heads = nullptr;
  size_t headCount = 0;
};

/// Is it a spec that has probes? The error names the key.
Status checkHasProbes(const KernelSpec &spec);

/// Writes the probes and, where there is room, what came of each head; nothing where it fails.
Status calibrate(const CalibrationRequest &request, Threads &threads);

} // namespace nysjit
