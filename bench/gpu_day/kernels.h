// Small kernels of the day's own, as PTX: what any GPU from sm_80 on runs and the emulator, too.
#pragma once
#include <string>
#include <vector>

namespace nysjit::gpu_day {

/// nothing(): what a launch costs by itself.
extern const char *const nothingPtx;
/// fault(): writes to address 16.
extern const char *const faultPtx;

/// The PTX of all that the day loads beside the bundles' programs.
std::vector<std::string> ownKernels();

} // namespace nysjit::gpu_day
