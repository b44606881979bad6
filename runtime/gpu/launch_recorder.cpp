// Launches, in the order in which they were enqueued.
#include "runtime/gpu/launch_recorder.h"

#include <utility>

namespace nysjit {

LaunchObserver LaunchRecorder::observer() {
  return {&observe, lastCounts ? &enqueued : nullptr, this};
}

void LaunchRecorder::observe(void *self, const char *kernel, int64_t grid, int64_t block,
                             double ms) {
  LaunchRecorder &recorder = *static_cast<LaunchRecorder *>(self);
  LaunchRecord record{kernel, grid, block, ms, std::nullopt};
  if (recorder.launches.size() < recorder.counts.size())
    record.counts = recorder.counts[recorder.launches.size()];
  recorder.launches.push_back(std::move(record));
}

// The emulator runs a launch when it is enqueued.
void LaunchRecorder::enqueued(void *self) {
  LaunchRecorder &recorder = *static_cast<LaunchRecorder *>(self);
  nysjit_emulator_counts counts = {};
  counts.size = sizeof counts;
  (void)recorder.lastCounts(&counts); // zeros where it counted nothing
  recorder.counts.push_back(counts);
}

std::vector<LaunchRecord> LaunchRecorder::take() {
  counts.clear();
  return std::exchange(launches, {});
}

} // namespace nysjit
