// What the compiler knows of each target: one table, no #if.
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

/// What the compiler knows of a GPU.
struct GpuInfo {
  int sm; // 80 for compute capability 8.0
  // 70 for PTX 7.0: the oldest that knows the GPU, so that old drivers can compile it too
  int ptxVersion;
  int64_t sharedBytes; // of a block, at most
};
GpuInfo gpuInfo(const Target &target);

/// For native: the machine this process runs on.
TargetInfo targetInfo(const Target &target);

} // namespace nysjit
