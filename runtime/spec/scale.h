// Which softmax scales a run takes.
#pragma once
#include <cmath>

namespace nysjit {

/// Kernels multiply q.k by scale * log2(e), a float32: beyond 3.4028e38 / 1.4427 it is infinite,
/// and then a score of 0 is no number.
constexpr float largestScale = 2.35e38f;
constexpr const char *expectedScale = "a finite number, at most 2.35e38 in size";

inline bool isScale(double number) { return std::abs(number) <= double(largestScale); }

} // namespace nysjit
