// The result of a bench for people and as JSON.
#pragma once
#include "runtime/bench/bench.h"

#include <string>

namespace nysjit::bench {

/// A table, a size a line.
std::string reportText(const BenchReport &report);

/// {"target", "device", "compiler", "contenders": [{"name", "spec", "config", "config_source"}],
///  "rates", "sizes": [{"length", ..., "rounds", "contenders": [{"ms", ...}], "ratio",
///  "verdict"}], "conditions", "others_share", "notes", "seconds"}; docs/benchmarking.md has all of
/// it. What is not known is null.
Json reportObject(const BenchReport &report);

} // namespace nysjit::bench
