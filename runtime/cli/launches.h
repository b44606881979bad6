// A run's launches in the reports.
#pragma once
#include "runtime/gpu/launch_recorder.h"

#include <nlohmann/json.hpp>

#include <vector>

namespace nysjit::cli {

double totalMs(const std::vector<LaunchRecord> &launches);
/// The contract's `launches` and, null where nothing was counted, `counts`.
nlohmann::json launchesJson(const std::vector<LaunchRecord> &launches);
nlohmann::json totalCountsJson(const std::vector<LaunchRecord> &launches);

} // namespace nysjit::cli
