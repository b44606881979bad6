// The result of a tune for people and as JSON.
#pragma once
#include "runtime/tune/tuner.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace nysjit::tune {

/// A table of each group's candidates, heat maps of block_m and block_n, the verdict.
std::string reportText(const TuneReport &report, const TuneFile &file);

/// What is known of one kernel's block_m (rows) and block_n (columns): the best ratio of the
/// group's candidates with these.
struct HeatMap {
  using Cell = std::pair<int, int>; // block_m, block_n
  std::set<int> rows;
  std::set<int> columns;
  std::map<Cell, double> ratios; // the default's is 1
  Cell ofDefault;
  std::optional<Cell> chosen;
};
/// Nothing where the kernel has not both keys.
std::optional<HeatMap> heatMapOf(const GroupReport &group, const std::string &kernel);

/// Where an entry was tuned: "cpu:native, 2 threads", "cuda:sm_90 on NVIDIA H100".
std::string placeText(const TunedConfig &entry);

/// One kernel's block_m (down) and block_n (across); the default in brackets, the chosen one with a
/// star. "" where it has not both keys.
std::string heatMap(const GroupReport &group, const std::string &kernel);

/// {"specs": [{"spec", "threads", "verdict", "groups", ...}], "seconds"}
Json reportObject(const TuneReport &report);

} // namespace nysjit::tune
