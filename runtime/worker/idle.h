// How long a worker without work stays.
#pragma once
#include "runtime/base/result.h"

namespace nysjit {

constexpr int defaultWorkerIdleMs = 60000;

/// $NYSJIT_WORKER_IDLE_MS, else the default. InvalidArgument if the variable is no number of at
/// least 0.
Result<int> workerIdleMs();

} // namespace nysjit
