// The result of a bench as a picture.
#pragma once
#include "runtime/bench/bench.h"

#include <string>

namespace nysjit::bench {

/// An .svg: time over positions, both logarithmic, a line through each contender's medians, a band
/// between its quartiles and, dashed, the least time that the rates allow; beside it GFLOP/s over
/// operations a byte under the machine's roof. Without rates the first alone. At least one size.
std::string pictureOf(const BenchReport &report);

} // namespace nysjit::bench
