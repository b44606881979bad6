// What is known of a run's launches: by time, and on the emulator by what the machine counted.
#pragma once
#include "runtime/device/program.h"
#include "runtime/emulator/emulator.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace nysjit::cli {

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
  using LastCounts = int (*)(nysjit_emulator_counts *);
  /// `lastCounts`: nysjit_emulator_last_counts, or null where nothing is counted.
  explicit LaunchRecorder(LastCounts lastCounts) : lastCounts(lastCounts) {}
  LaunchObserver observer();
  /// The launches so far; forgets them.
  std::vector<LaunchRecord> take();

private:
  static void observe(void *self, const char *kernel, int64_t grid, int64_t block, double ms);
  static void enqueued(void *self);
  LastCounts lastCounts;
  std::vector<LaunchRecord> launches;
  std::vector<nysjit_emulator_counts> counts; // of launches, in order
};

double totalMs(const std::vector<LaunchRecord> &launches);
/// The contract's `launches` and, null where nothing was counted, `counts`.
nlohmann::json launchesJson(const std::vector<LaunchRecord> &launches);
nlohmann::json totalCountsJson(const std::vector<LaunchRecord> &launches);

} // namespace nysjit::cli
