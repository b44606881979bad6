// What tells one machine from another as far as tuned configs go: numbers, no names, which clouds
// and drivers change. Two devices with equal facts share entries of configs.json.
#pragma once
#include "runtime/base/json.h"
#include "runtime/device/cpu_identity.h"

#include <cstddef>
#include <cstdint>

namespace nysjit {

/// {"kind": "cpu", "vendor", "signature" (CPUID leaf 1 eax, hex), "vector_bits", "l2_bytes" (0:
/// unknown), "threads" (of a run)}
Json cpuFacts(const CpuIdentity &cpu, size_t threads);

/// {"kind": "cuda", "compute_capability": "9.0", "multiprocessors", "memory_gib" (rounded)}
Json gpuFacts(int capability, int multiprocessors, uint64_t memoryBytes);

/// {"kind": "ptx-emulator"}: its entries are never a GPU's.
Json emulatorFacts();

} // namespace nysjit
