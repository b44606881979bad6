// Launches as JSON.
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
