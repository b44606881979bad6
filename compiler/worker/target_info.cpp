// The targets: CPUs by level, GPUs by compute capability.
#include "compiler/worker/target_info.h"

#include "llvm/TargetParser/Host.h"

#include <map>

namespace nysjit {

// A dot's register tile takes half the registers: measured best, the rest holds a row of b and the
// broadcast (docs/architecture.md).
static cpu::VectorShape shapeOf(const CpuFacts &facts) {
  return {facts.vectorBits / 32, facts.vectorRegisters / 2};
}

Result<GpuInfo> gpuInfo(const Target &target) {
  Result<const TargetRow *> row = targetRow(target);
  NYSJIT_RETURN_IF_ERROR(row);
  if (!target.isCuda())
    return Error::mismatch(ErrorKind::InvalidArgument, "target", "a cuda target", (*row)->name);
  return GpuInfo{(*row)->gpu, target.sm};
}

/// The host by LLVM's name, with the vectors of the level that it is of.
static Result<TargetInfo> hostInfo(const char *name) {
  const auto host = llvm::sys::getHostCPUFeatures();
  std::map<std::string, bool> sorted;
  for (const auto &feature : host)
    sorted[feature.getKey().str()] = feature.getValue();
  std::string features;
  for (const auto &[feature, has] : sorted)
    features += (features.empty() ? "" : ",") + std::string(has ? "+" : "-") + feature;
  const bool isV4 = host.lookup("avx512f") && host.lookup("avx512vl") && host.lookup("avx512bw") &&
                    host.lookup("avx512dq");
  Result<const TargetRow *> level = targetRow({isV4 ? CpuLevel::V4 : CpuLevel::V3});
  NYSJIT_RETURN_IF_ERROR(level);
  const CpuFacts &facts = (*level)->cpu;
  return TargetInfo{name, llvm::sys::getHostCPUName().str(), features, shapeOf(facts),
                    facts.vectorBits};
}

Result<TargetInfo> targetInfo(const Target &target) {
  Result<const TargetRow *> row = targetRow(target);
  NYSJIT_RETURN_IF_ERROR(row);
  if (target.isCuda())
    return Error::mismatch(ErrorKind::InvalidArgument, "target", "a cpu target", (*row)->name);
  if (target.level == CpuLevel::Native)
    return hostInfo((*row)->name);
  const CpuFacts &facts = (*row)->cpu;
  return TargetInfo{(*row)->name, facts.llvmCpu, "", shapeOf(facts), facts.vectorBits};
}

} // namespace nysjit
