// What other processes take of the machine's CPUs, which times by the wall hang on.
#pragma once
#include <optional>
#include <string_view>

namespace nysjit::bench {

/// Seconds, since the system began, that its CPUs worked for others than this process or that the
/// machine's host took from them. Nothing where /proc/stat cannot be read.
std::optional<double> othersCpuSeconds();

/// Of the text of /proc/stat: seconds that all CPUs worked or were taken away. Nothing where it
/// does not begin with the line of all CPUs.
std::optional<double> busySeconds(std::string_view stat, double ticksPerSecond);

} // namespace nysjit::bench
