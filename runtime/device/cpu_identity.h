// What this CPU is, from CPUID alone: the part of a native program's cache key, and whether a
// target's code may run here.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

#include <cstdint>
#include <string>

namespace nysjit {

/// The raw answers that code selection depends on. Per-core numbers (APIC ids) are left out.
struct CpuIdentity {
  std::string vendor;     // "GenuineIntel"
  uint32_t signature = 0; // leaf 1 eax: family, model, stepping
  uint32_t leaf1Ecx = 0;
  uint32_t leaf1Edx = 0; // features
  uint32_t leaf7Ebx = 0;
  uint32_t leaf7Ecx = 0;
  uint32_t leaf7Edx = 0;
  uint32_t leaf7Sub1Eax = 0;
  uint32_t leaf7Sub1Edx = 0;
  uint32_t leafDSub1Eax = 0;
  uint32_t extendedEcx = 0;
  uint32_t extendedEdx = 0;  // leaf 0x80000001
  uint32_t extended8Ebx = 0; // leaf 0x80000008
  uint64_t xcr0 = 0;         // register state that the operating system saves
};

/// Read once: a virtual machine takes tens of microseconds for each question. Thread-safe.
const CpuIdentity &hostCpu();
/// One line; equal for equal CPUs.
std::string describe(const CpuIdentity &cpu);
/// Unavailable if code for `target` would not run on `cpu`; the message names what is missing.
Status checkTargetRunsOn(const Target &target, const CpuIdentity &cpu);

} // namespace nysjit
