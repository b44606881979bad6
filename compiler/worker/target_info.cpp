// The targets: CPUs by level, GPUs by compute capability.
#include "compiler/worker/target_info.h"

#include "llvm/TargetParser/Host.h"

#include <map>

namespace nysjit {

// A dot's register tile takes half the registers of AVX-512 (16 of 32) and of AVX2 (8 of 16):
// measured best, the rest holds a row of b and the broadcast (docs/architecture.md).
static constexpr cpu::VectorShape avx512 = {16, 16};
static constexpr cpu::VectorShape avx2 = {8, 8};

static constexpr GpuInfo gpus[] = {{80, 70, 166912}, {86, 71, 101376},  {89, 78, 101376},
                                   {90, 78, 232448}, {100, 86, 232448}, {120, 87, 101376}};

GpuInfo gpuInfo(const Target &target) {
  for (const GpuInfo &gpu : gpus)
    if (gpu.sm == target.sm)
      return gpu;
  return gpus[0];
}

TargetInfo targetInfo(const Target &target) {
  switch (target.level) {
  case CpuLevel::V3: return {targetName(target), "x86-64-v3", "", avx2, 256};
  case CpuLevel::V4: return {targetName(target), "x86-64-v4", "", avx512, 512};
  case CpuLevel::Native: break;
  }
  const auto host = llvm::sys::getHostCPUFeatures();
  std::map<std::string, bool> sorted;
  for (const auto &feature : host)
    sorted[feature.getKey().str()] = feature.getValue();
  std::string features;
  for (const auto &[name, has] : sorted)
    features += (features.empty() ? "" : ",") + std::string(has ? "+" : "-") + name;
  const bool wide = host.lookup("avx512f") && host.lookup("avx512vl") && host.lookup("avx512bw") &&
                    host.lookup("avx512dq");
  return {targetName(target), llvm::sys::getHostCPUName().str(), features, wide ? avx512 : avx2,
          wide ? 512 : 256};
}

} // namespace nysjit
