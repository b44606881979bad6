// What the compiler knows of each target: the rows of runtime/spec/target.h and, for cpu:native,
// what LLVM says of the host.
#pragma once
#include "compiler/lowering/cpu/vector_builder.h"
#include "runtime/spec/spec.h"

#include <string>

namespace nysjit {

struct TargetInfo {
  std::string name;     // "cpu:x86-64-v4"
  std::string cpu;      // LLVM's name of the processor
  std::string features; // "+avx2,-sse4a", sorted
  cpu::VectorShape shape;
  int vectorBits; // preferred and legal vector width
};

/// A GPU: its number, and its row in the table of targets.
struct GpuInfo : GpuFacts {
  int sm = 0; // 80 for compute capability 8.0
};
/// An Error for a target that is no GPU of the table.
Result<GpuInfo> gpuInfo(const Target &target);

/// For native: the machine this process runs on. An Error for a target that is no CPU of the table.
Result<TargetInfo> targetInfo(const Target &target);

} // namespace nysjit
