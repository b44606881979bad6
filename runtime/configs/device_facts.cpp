// CPUID and what the C library says of caches.
#include "runtime/configs/device_facts.h"
#include "runtime/spec/target.h"

#include <cstdio>
#include <unistd.h>

namespace nysjit {

Json cpuFacts(const CpuIdentity &cpu, size_t threads) {
  char signature[16];
  std::snprintf(signature, sizeof signature, "%08x", cpu.signature);
  const bool isV4 = checkTargetRunsOn({CpuLevel::V4, TargetKind::Cpu, 0}, cpu).ok();
  const long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return {{"kind", "cpu"},
          {"vendor", cpu.vendor},
          {"signature", signature},
          {"vector_bits", isV4 ? 512 : 256},
          {"l2_bytes", static_cast<int64_t>(l2 > 0 ? l2 : 0)},
          {"threads", static_cast<int64_t>(threads)}};
}

Json gpuFacts(int capability, int multiprocessors, uint64_t memoryBytes) {
  constexpr uint64_t gib = uint64_t(1) << 30;
  return {{"kind", "cuda"},
          {"compute_capability",
           std::to_string(capability / 10) + "." + std::to_string(capability % 10)},
          {"multiprocessors", multiprocessors},
          {"memory_gib", static_cast<int64_t>((memoryBytes + gib / 2) / gib)}};
}

Json emulatorFacts() { return {{"kind", "ptx-emulator"}}; }

} // namespace nysjit
