// Cases in a process of their own, so that one that crashes, hangs or takes the GPU's context with
// it stops no other: this process never touches the driver, its child runs case after case, and
// behind a case that ended it the next child goes on.
#pragma once
#include "bench/gpu_day/options.h"
#include "bench/gpu_day/records.h"
#include "bench/gpu_day/session.h"

#include <functional>

namespace nysjit::gpu_day {

struct Cases {
  size_t count = 0;
  std::function<std::string(size_t)> name;
  std::function<Status(const Session &, size_t)> run; // writes its own records
};

/// Runs all. A case that fails, crashes or takes longer than options.caseSeconds becomes a failed
/// check "runs". An error only if the device cannot be opened (any more).
Status runApart(const Options &options, const Records &records, const Cases &cases);

} // namespace nysjit::gpu_day
