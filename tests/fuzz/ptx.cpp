// PTX text as the emulator reads it; what can be decoded runs for a few instructions.
#include "runtime/emulator/machine.h"
#include "tests/fuzz/property.h"

#include <algorithm>

using namespace nysjit::emulator;
using namespace nysjit::fuzz;

namespace {

void launch(const Function &function, Memory &memory, uint64_t buffer, uint64_t seed) {
  Launch launch;
  launch.function = &function;
  launch.grid[0] = 2;
  launch.block[0] = std::min<uint32_t>(40, function.maxThreads);
  if (function.requiredThreads[0])
    std::copy_n(function.requiredThreads, 3, launch.block);
  launch.dynamicSharedBytes = 1024;
  launch.parameters.resize(function.parameterBytes);
  // Addresses of a buffer with room on both sides, and small numbers.
  for (const Parameter &parameter : function.parameters) {
    const uint64_t value = parameter.bytes == 8 ? buffer + 2048 : 3;
    const auto *bytes = reinterpret_cast<const uint8_t *>(&value);
    std::copy_n(bytes, std::min<uint32_t>(parameter.bytes, 8),
                launch.parameters.begin() + parameter.offset);
  }
  Options options;
  options.seed = seed;
  options.lazy = seed & 1;
  options.maxInstructions = 2000;
  const Outcome outcome = run(launch, memory, options);
  require(outcome.fault == Fault::None || !outcome.report.empty(), "a fault is reported");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Memory memory;
  std::string error;
  const std::unique_ptr<Module> module = Module::load(textOf(bytes, count), memory, error);
  if (!module) {
    require(error.starts_with("line "), "an error names its line: " + error);
    return 0;
  }
  const uint64_t buffer = memory.allocate(4096);
  memory.fill(buffer, 1, 4096);
  size_t most = 4;
  for (const std::string &name : module->functionNames())
    if (most > 0) {
      --most;
      launch(*module->function(name), memory, buffer, count);
    }
  return 0;
}
