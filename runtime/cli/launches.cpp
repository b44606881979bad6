// Recording launches, and their JSON.
#include "runtime/cli/launches.h"

#include <numeric>

namespace nysjit::cli {

using nlohmann::json;

namespace {

/// What the contract shows of the counts.
struct CountRow {
  const char *name;
  int64_t nysjit_emulator_counts::*count;
};
constexpr CountRow countRows[] = {
    {"instructions", &nysjit_emulator_counts::instructions},
    {"mma_flops", &nysjit_emulator_counts::mma_flops},
    {"global_read_bytes", &nysjit_emulator_counts::global_read_bytes},
    {"global_write_bytes", &nysjit_emulator_counts::global_write_bytes},
    {"global_sectors", &nysjit_emulator_counts::global_sectors},
    {"bank_conflicts", &nysjit_emulator_counts::bank_conflicts},
    {"barriers", &nysjit_emulator_counts::barriers},
    {"races", &nysjit_emulator_counts::races}};

} // namespace

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

double totalMs(const std::vector<LaunchRecord> &launches) {
  return std::accumulate(launches.begin(), launches.end(), 0.0,
                         [](double sum, const LaunchRecord &launch) { return sum + launch.ms; });
}

json launchesJson(const std::vector<LaunchRecord> &launches) {
  json list = json::array();
  for (const LaunchRecord &launch : launches) {
    json object = {{"kernel", launch.kernel},
                   {"grid", launch.grid},
                   {"block", launch.block},
                   {"ms", launch.ms}};
    if (launch.counts)
      for (const CountRow &row : countRows)
        object["counts"][row.name] = *launch.counts.*row.count;
    list.push_back(std::move(object));
  }
  return list;
}

json totalCountsJson(const std::vector<LaunchRecord> &launches) {
  json total;
  for (const CountRow &row : countRows) {
    int64_t sum = 0;
    for (const LaunchRecord &launch : launches)
      sum += launch.counts ? *launch.counts.*row.count : 0;
    total[row.name] = sum;
  }
  return total;
}

} // namespace nysjit::cli
