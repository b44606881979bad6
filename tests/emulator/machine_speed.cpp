// Warp instructions a second, all checks on. usage: emulator_speed [fixtures/attention.ptx
// [attention [length [eager|lazy]]]] The kernel takes q, k, v, out (halves, [length][64]), lse
// (floats) and a scale, 64 rows a block of 128 threads.
#include "runtime/emulator/machine.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

using namespace nysjit::emulator;

int main(int argc, char **argv) {
  std::string path =
      argc > 1 ? argv[1] : NYSJIT_SOURCE_DIR "/tests/emulator/fixtures/attention.ptx";
  std::string name = argc > 2 ? argv[2] : "attention";
  std::string error;
  uint32_t length = argc > 3 ? uint32_t(std::atoi(argv[3])) : 1024;
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  Memory memory;
  std::unique_ptr<Module> module = Module::load(text.str(), memory, error);
  const Function *function = module ? module->function(name) : nullptr;
  if (!function) {
    std::printf("%s: %s\n", path.c_str(), module ? "no such kernel" : error.c_str());
    return 1;
  }
  Launch launch;
  launch.function = function;
  launch.grid[0] = length / 64;
  launch.block[0] = 128;
  launch.parameters.assign(function->parameterBytes, 0);
  for (int tensor = 0; tensor < 5; ++tensor) {
    uint64_t address = memory.allocate(length * 64 * 2);
    if (tensor < 3)
      memory.fill(address, 0x31, length * 64 * 2);
    std::memcpy(launch.parameters.data() + function->parameters[tensor].offset, &address, 8);
  }
  float scale = 0.125f;
  if (function->parameters.size() > 5)
    std::memcpy(launch.parameters.data() + function->parameters[5].offset, &scale, 4);
  Options options;
  options.lazy = argc > 4 && std::strcmp(argv[4], "lazy") == 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::clock_t start = std::clock(); // of this process: the machine may be shared
    Outcome outcome = run(launch, memory, options);
    double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    for (const std::string &line : outcome.report)
      std::printf("%s\n", line.c_str());
    std::printf("%lld instructions in %.3f s of CPU: %.2f M/s; %.2f GFLOP of mma, %lld bank "
                "conflicts, %lld races\n",
                static_cast<long long>(outcome.counts.instructions), seconds,
                double(outcome.counts.instructions) / seconds / 1e6,
                double(outcome.counts.mmaFlops) / 1e9,
                static_cast<long long>(outcome.counts.bankConflicts),
                static_cast<long long>(outcome.counts.races));
  }
  return 0;
}
