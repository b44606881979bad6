// The machine in a test: a module of one or more kernels, buffers, launches.
#pragma once
#include "runtime/emulator/machine.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace nysjit::emulator::test {

inline std::string header() { return ".version 8.6\n.target sm_90\n.address_size 64\n"; }

/// Kernels of this text, whose parameters are all .u64 addresses.
class Machine {
public:
  explicit Machine(const std::string &text, bool lazy = false) {
    options.lazy = lazy;
    module = Module::load(header() + text, memory, error);
    EXPECT_TRUE(module) << error;
  }
  template <typename T> uint64_t buffer(const std::vector<T> &values) {
    uint64_t address = memory.allocate(values.size() * sizeof(T));
    memory.copyIn(address, values.data(), values.size() * sizeof(T));
    return address;
  }
  template <typename T> std::vector<T> read(uint64_t address, size_t count) {
    std::vector<T> values(count);
    EXPECT_TRUE(memory.copyOut(values.data(), address, count * sizeof(T)));
    return values;
  }
  Outcome run(const char *kernel, uint32_t blocks, uint32_t threads,
              const std::vector<uint64_t> &arguments, uint32_t sharedBytes = 0) {
    if (!module || !module->function(kernel)) {
      ADD_FAILURE() << "no kernel " << kernel;
      return {};
    }
    Launch launch;
    launch.function = module->function(kernel);
    launch.grid[0] = blocks;
    launch.block[0] = threads;
    launch.dynamicSharedBytes = sharedBytes;
    launch.mayOverlap = mayOverlap;
    launch.parameters.resize(8 * arguments.size());
    std::memcpy(launch.parameters.data(), arguments.data(), launch.parameters.size());
    return emulator::run(launch, memory, options);
  }
  Memory memory;
  Options options;
  bool mayOverlap = false; // launches, with those before them
  std::unique_ptr<Module> module;
  std::string error;
};

inline std::string text(const Outcome &outcome) {
  std::string all;
  for (const std::string &line : outcome.report)
    all += line + "\n";
  return all;
}
inline bool reports(const Outcome &outcome, const std::string &words) {
  return text(outcome).find(words) != std::string::npos;
}

/// `body` computes %x3 from %x0, %x1 and %x2 of 32 lanes; T is 4 or 8 bytes, x is r or rd.
template <typename T>
std::vector<T> evaluate(const std::string &body, const std::vector<T> &a,
                        const std::vector<T> &b = {}, const std::vector<T> &c = {}) {
  std::string bits = sizeof(T) == 8 ? "b64" : "b32";
  std::string size = std::to_string(sizeof(T));
  std::string load;
  for (int n = 0; n < 3; ++n)
    load += "ld.param.u64 %addr, [p" + std::to_string(n) +
            "]; add.u64 %addr, %addr, %at; ld.global." + bits + " %x" + std::to_string(n) +
            ", [%addr];\n";
  Machine machine(
      ".entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3) {\n.reg ." + bits +
      " %x<8>; .reg .b32 %r<20>; .reg .b64 %rd<20>, %at, %addr; "
      ".reg .b16 %h<20>; .reg .f32 %f<20>; .reg .f64 %fd<8>; .reg .pred %p<8>;\nmov.u32 %r19, "
      "%tid.x; "
      "mul.wide.u32 %at, %r19, " +
      size + ";\n" + load + body +
      "\nld.param.u64 %addr, [p3]; add.u64 %addr, %addr, %at; st.global." + bits +
      " [%addr], %x3; ret; }");
  std::vector<T> zero(32);
  auto padded = [&](std::vector<T> v) {
    v.resize(32);
    return v;
  };
  uint64_t out = machine.buffer(zero);
  Outcome outcome = machine.run(
      "k", 1, 32,
      {machine.buffer(padded(a)), machine.buffer(padded(b)), machine.buffer(padded(c)), out});
  EXPECT_EQ(outcome.fault, Fault::None) << text(outcome);
  return machine.read<T>(out, 32);
}

inline uint32_t bitsOf(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}
inline float floatOf(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

} // namespace nysjit::emulator::test
