// What is known of a run's launches: by time, and on the emulator by what the machine counted.
#pragma once
#include "runtime/device/program.h"
#include "runtime/emulator/emulator.h"

#include <optional>
#include <string>
#include <vector>

namespace nysjit {

struct LaunchRecord {
  std::string kernel;
  int64_t grid = 0;
  int64_t block = 0;
  double ms = 0;
  std::optional<nysjit_emulator_counts> counts;
};

/// Keeps the launches of one run.
class LaunchRecorder {
public:
  /// `lastCounts`: GpuSession's, or null where nothing is counted.
  explicit LaunchRecorder(int (*lastCounts)(nysjit_emulator_counts *)) : lastCounts(lastCounts) {}
  LaunchObserver observer();
  /// The launches so far; forgets them.
  std::vector<LaunchRecord> take();

private:
  static void observe(void *self, const char *kernel, int64_t grid, int64_t block, double ms);
  static void enqueued(void *self);
  int (*lastCounts)(nysjit_emulator_counts *);
  std::vector<LaunchRecord> launches;
  std::vector<nysjit_emulator_counts> counts; // of launches, in order
};

} // namespace nysjit
