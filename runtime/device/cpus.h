// How many CPUs this process may use: its affinity, and the quotas of the cgroups it is in.
#pragma once
#include <cstddef>
#include <string>

namespace nysjit {

/// CPUs in the calling thread's affinity mask, which threads that it starts inherit; at least 1.
size_t affinityCpus() noexcept;

/// The least quota of CPU time that this process's cgroup and its ancestors have (cpu.max of
/// version 2, cpu.cfs_quota_us of version 1), in CPUs, rounded up; SIZE_MAX where there is none or
/// it cannot be read. `root` is put before every path ("": the system's own).
size_t quotaCpus(const std::string &root = "") noexcept;

/// The lesser of both.
size_t availableCpus() noexcept;

} // namespace nysjit
