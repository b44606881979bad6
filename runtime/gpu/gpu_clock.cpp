// NVML by its C ABI: https://docs.nvidia.com/deploy/nvml-api, functions of version 2.
#include "runtime/gpu/gpu_clock.h"

#include <dlfcn.h>

namespace nysjit {

namespace {

constexpr int success = 0;         // NVML_SUCCESS
constexpr int multiprocessors = 1; // NVML_CLOCK_SM

template <typename Function> Function functionOf(void *library, const char *name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

} // namespace

GpuClock::GpuClock(const std::string &pciBusId, const std::string &library) {
  void *opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened)
    return;
  const auto init = functionOf<int (*)()>(opened, "nvmlInit_v2");
  const auto find =
      functionOf<int (*)(const char *, void **)>(opened, "nvmlDeviceGetHandleByPciBusId_v2");
  const auto clock = functionOf<decltype(clockInfo)>(opened, "nvmlDeviceGetClockInfo");
  if (!init || !find || !clock || init() != success)
    return;
  if (find(pciBusId.c_str(), &device) == success && device)
    clockInfo = clock;
}

std::optional<int> GpuClock::megahertz() const {
  unsigned now = 0;
  if (!clockInfo || clockInfo(device, multiprocessors, &now) != success)
    return std::nullopt;
  return int(now);
}

} // namespace nysjit
