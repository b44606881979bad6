// Target: the processor that a program is compiled for. DeviceKind: what programs run on. All that
// is known of a target stands in one row of one table; the compiler adds what it asks the host.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace nysjit {

enum class CpuLevel { Native, V3, V4 };
enum class TargetKind { Cpu, Cuda };

/// "cpu:native", "cpu:x86-64-v3", "cpu:x86-64-v4"; "cuda:sm_80", 86, 89, 90, 100, 120.
struct Target {
  CpuLevel level = CpuLevel::Native; // of a CPU target
  TargetKind kind = TargetKind::Cpu;
  int sm = 0; // of a cuda target: its compute capability, 80 for 8.0
  bool isCuda() const { return kind == TargetKind::Cuda; }
  bool operator==(const Target &) const = default;
};

/// What is known of a level of CPUs; of cpu:native nothing is, the compiler asks the host.
struct CpuFacts {
  const char *llvmCpu = ""; // LLVM's name of it
  int vectorBits = 0;
  int vectorRegisters = 0; // of that width
};

/// What is known of GPUs of one compute capability.
struct GpuFacts {
  // 70 for PTX 7.0: the oldest that knows the GPU, so that old drivers can compile it, too
  int ptxVersion = 0;
  int64_t sharedBytes = 0;        // of a block, at most
  bool hasGridDependency = false; // griddepcontrol: a kernel can wait for the launch before it
};

struct TargetRow {
  const char *name;
  Target target;
  CpuFacts cpu = {};
  GpuFacts gpu = {};
};

/// All there are, in the order of messages.
std::span<const TargetRow> targetTable();
/// The target's row. UnknownDevice, with the names there are, for a Target that is none of them.
Result<const TargetRow *> targetRow(const Target &target);

/// Parses a target name; an unknown one is ErrorKind::UnknownDevice with the names there are.
Result<Target> parseTarget(std::string_view name);
/// "unknown" for a Target that the table has not.
const char *targetName(const Target &target);
/// The target whose code suits a GPU of this compute capability best: its own, else the highest
/// below it whose machine code runs there (the same major number). Unavailable if there is none.
Result<Target> targetForCapability(int capability);

/// What programs run on: one for each context.
enum class DeviceKind { Cpu, Cuda, PtxEmulator };
/// "cpu", "cuda" or "ptx-emulator"; another is ErrorKind::UnknownDevice with those there are.
Result<DeviceKind> parseDevice(std::string_view name);
const char *deviceName(DeviceKind device);
/// InvalidArgument unless the device runs code of the target's kind.
Status checkTargetFits(const Target &target, DeviceKind device);

} // namespace nysjit
