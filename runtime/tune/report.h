// The result of a tune for people and as JSON.
#pragma once
#include "runtime/tune/tuner.h"

#include <string>

namespace nysjit::tune {

/// A table of each group's candidates, heat maps of block_m and block_n, the verdict.
std::string reportText(const TuneReport &report, const TuneFile &file);

/// One kernel's block_m (down) and block_n (across): the best ratio of the group's candidates with
/// these; the default in brackets, the chosen one with a star. "" where it has not both keys.
std::string heatMap(const GroupReport &group, const std::string &kernel);

/// {"specs": [{"spec", "threads", "verdict", "groups", ...}], "seconds"}
Json reportObject(const TuneReport &report);

} // namespace nysjit::tune
