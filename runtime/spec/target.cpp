// The names of targets and devices.
#include "runtime/spec/json_text.h"
#include "runtime/spec/spec.h"

#include <array>

namespace nysjit {

namespace {

constexpr Target cuda(int sm) { return {CpuLevel::Native, TargetKind::Cuda, sm}; }
constexpr std::array<Target, 9> targets = {{{CpuLevel::Native},
                                            {CpuLevel::V3},
                                            {CpuLevel::V4},
                                            cuda(80),
                                            cuda(86),
                                            cuda(89),
                                            cuda(90),
                                            cuda(100),
                                            cuda(120)}};
constexpr std::array<const char *, 9> targetNames = {"cpu:native", "cpu:x86-64-v3", "cpu:x86-64-v4",
                                                     "cuda:sm_80", "cuda:sm_86",    "cuda:sm_89",
                                                     "cuda:sm_90", "cuda:sm_100",   "cuda:sm_120"};
constexpr std::array deviceNames = {"cpu", "cuda", "ptx-emulator"};

/// "a, b or c"
template <size_t N> std::string listed(const std::array<const char *, N> &names) {
  std::string text = names[0];
  for (size_t i = 1; i < N; ++i)
    text += std::string(i + 1 < N ? ", " : " or ") + names[i];
  return text;
}

std::string inQuotes(std::string_view name) { return "\"" + describeName(name) + "\""; }

} // namespace

std::span<const Target> allTargets() { return targets; }

Result<Target> parseTarget(std::string_view name) {
  for (size_t i = 0; i < targets.size(); ++i)
    if (name == targetNames[i])
      return targets[i];
  return Error::mismatch(ErrorKind::UnknownDevice, "target", listed(targetNames), inQuotes(name));
}

const char *targetName(const Target &target) {
  for (size_t i = 0; i < targets.size(); ++i)
    if (target == targets[i])
      return targetNames[i];
  return "unknown";
}

Result<Target> targetForCapability(int capability) {
  const Target *best = nullptr;
  for (const Target &target : targets)
    if (target.isCuda() && target.sm <= capability && target.sm / 10 == capability / 10)
      best = &target;
  if (best)
    return *best;
  return Error::mismatch(
      ErrorKind::Unavailable, "device",
      "a GPU of compute capability 8.x, 9.x, 10.x or 12.x (or a target given by name)",
      "one of " + std::to_string(capability / 10) + "." + std::to_string(capability % 10));
}

Result<DeviceKind> parseDevice(std::string_view name) {
  for (size_t i = 0; i < deviceNames.size(); ++i)
    if (name == deviceNames[i])
      return DeviceKind(i);
  return Error::mismatch(ErrorKind::UnknownDevice, "device", listed(deviceNames), inQuotes(name));
}

const char *deviceName(DeviceKind device) { return deviceNames[size_t(device)]; }

Status checkTargetFits(const Target &target, DeviceKind device) {
  const bool isCpu = device == DeviceKind::Cpu;
  if (target.isCuda() != isCpu)
    return {};
  return Error::mismatch(ErrorKind::InvalidArgument, "target",
                         std::string(isCpu ? "a cpu" : "a cuda") + " target for device " +
                             deviceName(device),
                         targetName(target));
}

} // namespace nysjit
