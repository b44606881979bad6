// CPUID and XGETBV, and the feature bits of the x86-64 levels (System V psABI).
#include "runtime/device/cpu_identity.h"

#include <cpuid.h>
#include <cstdio>
#include <cstring>

namespace nysjit {

namespace {

uint64_t readXcr0() {
  uint32_t low;
  uint32_t high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

constexpr uint32_t bit(int number) { return uint32_t(1) << number; }
constexpr uint32_t osxsaveBit = bit(27); // leaf 1 ecx

struct Feature {
  const char *name;
  uint32_t CpuIdentity::*word;
  uint32_t mask;
};

constexpr Feature level3[] = {
    {"sse3", &CpuIdentity::leaf1Ecx, bit(0)},        {"ssse3", &CpuIdentity::leaf1Ecx, bit(9)},
    {"fma", &CpuIdentity::leaf1Ecx, bit(12)},        {"cx16", &CpuIdentity::leaf1Ecx, bit(13)},
    {"sse4.1", &CpuIdentity::leaf1Ecx, bit(19)},     {"sse4.2", &CpuIdentity::leaf1Ecx, bit(20)},
    {"movbe", &CpuIdentity::leaf1Ecx, bit(22)},      {"popcnt", &CpuIdentity::leaf1Ecx, bit(23)},
    {"osxsave", &CpuIdentity::leaf1Ecx, osxsaveBit}, {"avx", &CpuIdentity::leaf1Ecx, bit(28)},
    {"f16c", &CpuIdentity::leaf1Ecx, bit(29)},       {"bmi1", &CpuIdentity::leaf7Ebx, bit(3)},
    {"avx2", &CpuIdentity::leaf7Ebx, bit(5)},        {"bmi2", &CpuIdentity::leaf7Ebx, bit(8)},
    {"lzcnt", &CpuIdentity::extendedEcx, bit(5)},
};
constexpr uint64_t level3State = 0x6; // xmm and ymm

constexpr Feature level4[] = {
    {"avx512f", &CpuIdentity::leaf7Ebx, bit(16)},  {"avx512dq", &CpuIdentity::leaf7Ebx, bit(17)},
    {"avx512cd", &CpuIdentity::leaf7Ebx, bit(28)}, {"avx512bw", &CpuIdentity::leaf7Ebx, bit(30)},
    {"avx512vl", &CpuIdentity::leaf7Ebx, bit(31)},
};
constexpr uint64_t level4State = 0xe6; // and opmask, zmm

template <size_t N>
std::string missing(const Feature (&features)[N], uint64_t state, const CpuIdentity &cpu) {
  std::string names;
  for (const Feature &feature : features)
    if (!(cpu.*feature.word & feature.mask))
      names += std::string(names.empty() ? "" : ", ") + feature.name;
  if ((cpu.xcr0 & state) != state)
    names +=
        std::string(names.empty() ? "" : ", ") + "the operating system's support for its registers";
  return names;
}

CpuIdentity readHostCpu() {
  CpuIdentity cpu;
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t d = 0;
  char vendor[13] = {};
  if (__get_cpuid(0, &a, &b, &c, &d)) {
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &d, 4);
    std::memcpy(vendor + 8, &c, 4);
  }
  cpu.vendor = vendor;
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    cpu.signature = a;
    cpu.leaf1Ecx = c;
    cpu.leaf1Edx = d;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    const uint32_t subleaves = a;
    cpu.leaf7Ebx = b;
    cpu.leaf7Ecx = c;
    cpu.leaf7Edx = d;
    if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
      cpu.leaf7Sub1Eax = a;
      cpu.leaf7Sub1Edx = d;
    }
  }
  if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d))
    cpu.leafDSub1Eax = a;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
    cpu.extendedEcx = c;
    cpu.extendedEdx = d;
  }
  if (__get_cpuid(0x80000008, &a, &b, &c, &d))
    cpu.extended8Ebx = b;
  if (cpu.leaf1Ecx & osxsaveBit)
    cpu.xcr0 = readXcr0();
  return cpu;
}

} // namespace

const CpuIdentity &hostCpu() {
  static const CpuIdentity cpu = readHostCpu();
  return cpu;
}

std::string describe(const CpuIdentity &cpu) {
  char text[256];
  std::snprintf(text, sizeof text,
                "%s %08x 1:%08x,%08x 7:%08x,%08x,%08x 7.1:%08x,%08x d.1:%08x 8..1:%08x,%08x "
                "8..8:%08x xcr0:%llx",
                cpu.vendor.c_str(), cpu.signature, cpu.leaf1Ecx, cpu.leaf1Edx, cpu.leaf7Ebx,
                cpu.leaf7Ecx, cpu.leaf7Edx, cpu.leaf7Sub1Eax, cpu.leaf7Sub1Edx, cpu.leafDSub1Eax,
                cpu.extendedEcx, cpu.extendedEdx, cpu.extended8Ebx,
                static_cast<unsigned long long>(cpu.xcr0));
  return text;
}

Status checkTargetRunsOn(const Target &target, const CpuIdentity &cpu) {
  std::string absent = missing(level3, level3State, cpu);
  if (absent.empty() && target.level == CpuLevel::V4)
    absent = missing(level4, level4State, cpu);
  if (absent.empty())
    return {};
  return Error::mismatch(ErrorKind::Unavailable, targetName(target),
                         target.level == CpuLevel::V4 ? "a CPU of x86-64-v4"
                                                      : "a CPU of x86-64-v3 or better",
                         "one (" + cpu.vendor + ") without " + absent);
}

} // namespace nysjit
