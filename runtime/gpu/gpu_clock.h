// The clock that a GPU runs at, from the driver's management library (NVML), which need not be
// there.
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace nysjit {

class GpuClock {
public:
  /// Of the GPU with this PCI bus id. The library is opened by its name and stays loaded; where it
  /// is not, or does not know the GPU, no clock is known.
  explicit GpuClock(const std::string &pciBusId, const std::string &library = "libnvidia-ml.so.1");
  /// MHz of the multiprocessors, now.
  std::optional<int> megahertz() const;

private:
  void *device = nullptr;
  int (*clockInfo)(void *device, int kind, unsigned *megahertz) = nullptr;
};

} // namespace nysjit
