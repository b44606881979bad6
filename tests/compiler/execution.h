// Runs tile programs in a test: compiles a spec or tile IR, opens the binary and calls kernels
// program by program.
#pragma once
#include "compiler/worker/compile.h"

#include <gtest/gtest.h>

#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <memory>
#include <unistd.h>

namespace nysjit::execution {

/// A compiled binary, opened.
class Binary {
public:
  explicit Binary(const std::string &bytes) {
    path = testing::TempDir() + "nysjit-test-" + std::to_string(getpid()) + "-" +
           std::to_string(count++) + ".so";
    std::ofstream(path, std::ios::binary) << bytes;
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(handle, nullptr) << dlerror();
  }
  ~Binary() {
    if (handle)
      dlclose(handle);
    unlink(path.c_str());
  }
  using Kernel = void (*)(const uint64_t *, int64_t, void *);
  Kernel kernel(const std::string &name) {
    return reinterpret_cast<Kernel>(dlsym(handle, name.c_str()));
  }

private:
  static inline int count = 0;
  std::string path;
  void *handle = nullptr;
};

inline uint64_t slot(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }
inline uint64_t slot(int64_t number) { return static_cast<uint64_t>(number); }

/// Tile IR whose kernel is called @exact_causal, compiled for a target and run once.
inline void runTiles(const std::string &ir, const std::vector<uint64_t> &parameters, CpuLevel level,
                     int64_t program = 0) {
  CompileRequest request;
  request.spec.layout = Layout::ExactCausal;
  request.spec.headDim = 16;
  request.target.level = level;
  request.from = Stage::Tile;
  request.fromText = ir;
  auto output = compile(request);
  ASSERT_TRUE(output.ok()) << output.error().message;
  Binary binary(output->binary);
  std::vector<std::byte> memory(static_cast<size_t>(output->plan.kernels[0].scratchBytes) + 64);
  auto scratch =
      reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t(63));
  std::memset(scratch, 0xff, memory.size() - 64); // NaN: nothing may be read that was not written
  binary.kernel("exact_causal")(parameters.data(), program, scratch);
}

/// The levels this machine can run.
inline std::vector<CpuLevel> levels() {
  std::vector<CpuLevel> found = {CpuLevel::Native, CpuLevel::V3};
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    found.push_back(CpuLevel::V4);
  return found;
}

} // namespace nysjit::execution
