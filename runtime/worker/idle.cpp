// How long a worker without work stays.
#include "runtime/worker/idle.h"
#include "runtime/base/environment.h"

#include <climits>

namespace nysjit {

Result<int> workerIdleMs() {
  Result<std::optional<int64_t>> set = environmentNumber("NYSJIT_WORKER_IDLE_MS", 0, INT_MAX);
  NYSJIT_RETURN_IF_ERROR(set);
  return static_cast<int>(set->value_or(defaultWorkerIdleMs));
}

} // namespace nysjit
