// The names of targets.
#include "runtime/spec/json_text.h"
#include "runtime/spec/spec.h"

#include <array>

namespace nysjit {

namespace {
constexpr std::array cpuTargets = {"cpu:native", "cpu:x86-64-v3", "cpu:x86-64-v4"};
} // namespace

Result<Target> parseTarget(std::string_view name) {
  for (size_t i = 0; i < cpuTargets.size(); ++i)
    if (name == cpuTargets[i])
      return Target{CpuLevel(i)};
  return Error::mismatch(ErrorKind::UnknownDevice, "target", "cpu:native, cpu:x86-64-v3 or cpu:x86-64-v4",
                         "\"" + describeName(name) + "\"");
}

const char *targetName(const Target &target) { return cpuTargets[size_t(target.level)]; }

} // namespace nysjit
