// The table of targets, and the names of devices.
#include "runtime/spec/target.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <array>
#include <string>

namespace nysjit {

namespace {

constexpr Target cpu(CpuLevel level) { return {level, TargetKind::Cpu, 0}; }
constexpr Target cuda(int sm) { return {CpuLevel::Native, TargetKind::Cuda, sm}; }

constexpr TargetRow rows[] = {
    {"cpu:native", cpu(CpuLevel::Native)},
    {"cpu:x86-64-v3", cpu(CpuLevel::V3), {"x86-64-v3", 256, 16}},
    {"cpu:x86-64-v4", cpu(CpuLevel::V4), {"x86-64-v4", 512, 32}},
    {"cuda:sm_80", cuda(80), {}, {70, 166912, false}},
    {"cuda:sm_86", cuda(86), {}, {71, 101376, false}},
    {"cuda:sm_89", cuda(89), {}, {78, 101376, false}},
    {"cuda:sm_90", cuda(90), {}, {78, 232448, true}},
    {"cuda:sm_100", cuda(100), {}, {86, 232448, true}},
    {"cuda:sm_120", cuda(120), {}, {87, 101376, true}},
};
constexpr std::array deviceNames = {"cpu", "cuda", "ptx-emulator"};

/// "a, b or c"
std::string listed(std::span<const char *const> names) {
  std::string text = names[0];
  for (size_t i = 1; i < names.size(); ++i)
    text += std::string(i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

Error unknownTarget(std::string found) {
  std::array<const char *, std::size(rows)> names;
  std::ranges::transform(rows, names.begin(), &TargetRow::name);
  return Error::mismatch(ErrorKind::UnknownDevice, "target", listed(names), std::move(found));
}

std::string inQuotes(std::string_view name) { return "\"" + describeName(name) + "\""; }

} // namespace

std::span<const TargetRow> targetTable() { return rows; }

Result<const TargetRow *> targetRow(const Target &target) {
  for (const TargetRow &row : rows)
    if (target == row.target)
      return &row;
  return unknownTarget(target.isCuda() ? "sm_" + std::to_string(target.sm) : "another");
}

Result<Target> parseTarget(std::string_view name) {
  for (const TargetRow &row : rows)
    if (name == row.name)
      return row.target;
  return unknownTarget(inQuotes(name));
}

const char *targetName(const Target &target) {
  const Result<const TargetRow *> row = targetRow(target);
  return row ? (*row)->name : "unknown";
}

Result<Target> targetForCapability(int capability) {
  const Target *best = nullptr;
  for (const auto &[name, target, ofCpu, ofGpu] : rows)
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
