// Runs kernels through the emulator's shared library, opened by symbol as libcuda is. Failures that
// a test does not expect throw, with the call, its result and the emulator's report in the message.
#pragma once
#include "runtime/cuda/driver_api.h"
#include "runtime/emulator/emulator.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace nysjit::emulator_test {

inline std::string libraryPath() { return NYSJIT_BINARY_DIR "/lib/libnysjit_ptx_emulator.so"; }

/// The library's functions, under the names without versions.
struct Api {
#define NYSJIT_POINTER(name, symbol, parameters) CUresult(*name) parameters;
  NYSJIT_CUDA_SYMBOLS(NYSJIT_POINTER)
#undef NYSJIT_POINTER
  decltype(&nysjit_emulator_configure) configure;
  decltype(&nysjit_emulator_reset) reset;
  decltype(&nysjit_emulator_last_counts) lastCounts;
  decltype(&nysjit_emulator_report) report;
  decltype(&nysjit_emulator_inject) inject;

  explicit Api(const std::string &path = libraryPath()) {
    // never closed: its threads' stacks live on
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
      throw std::runtime_error(dlerror());
#define NYSJIT_LOOK_UP(name, symbol, parameters) find(library, #symbol, name);
    NYSJIT_CUDA_SYMBOLS(NYSJIT_LOOK_UP)
#undef NYSJIT_LOOK_UP
    find(library, "nysjit_emulator_configure", configure);
    find(library, "nysjit_emulator_reset", reset);
    find(library, "nysjit_emulator_last_counts", lastCounts);
    find(library, "nysjit_emulator_report", report);
    find(library, "nysjit_emulator_inject", inject);
  }

private:
  template <typename Pointer>
  static void find(void *library, const char *symbol, Pointer &pointer) {
    pointer = reinterpret_cast<Pointer>(dlsym(library, symbol));
    if (!pointer)
      throw std::runtime_error(std::string("no symbol ") + symbol);
  }
};

inline const Api &api() {
  static const Api one;
  return one;
}

inline void check(CUresult result, const char *what) {
  if (result == CUDA_SUCCESS)
    return;
  const char *name = nullptr;
  api().cuGetErrorName(result, &name);
  throw std::runtime_error(std::string(what) + ": " + (name ? name : std::to_string(result)) +
                           "\n" + api().report());
}
/// NYSJIT_CALL(cuMemAlloc, &address, 16): must succeed.
#define NYSJIT_CALL(name, ...)                                                                     \
  ::nysjit::emulator_test::check(::nysjit::emulator_test::api().name(__VA_ARGS__), #name)

/// How launches run: every combination must give the same results.
struct Mode {
  bool lazy = false;
  uint64_t seed = 0;
  int capability = 80;
};

inline void PrintTo(const Mode &mode, std::ostream *out) {
  *out << (mode.lazy ? "lazy" : "eager") << ", seed " << mode.seed << ", sm_" << mode.capability;
}

/// The device as new: options set, primary context current, no report; all of it given back at the
/// end.
class Device {
public:
  explicit Device(Mode mode = {}) {
    nysjit_emulator_options options = {sizeof options, mode.lazy, mode.capability, mode.seed, 0};
    api().configure(&options);
    NYSJIT_CALL(cuInit, 0);
    NYSJIT_CALL(cuDevicePrimaryCtxRetain, &context, 0);
    NYSJIT_CALL(cuCtxPushCurrent, context);
    api().reset();
  }
  ~Device() {
    api().reset();
    api().cuCtxPopCurrent(nullptr);
    api().cuDevicePrimaryCtxRelease(0);
    api().configure(nullptr);
  }
  Device(const Device &) = delete;
  CUcontext context = nullptr;
};

template <typename T> class Buffer {
public:
  explicit Buffer(size_t count) : count(count) {
    NYSJIT_CALL(cuMemAlloc, &address, count * sizeof(T));
  }
  explicit Buffer(const std::vector<T> &values) : Buffer(values.size()) { write(values); }
  ~Buffer() { api().cuMemFree(address); }
  Buffer(const Buffer &) = delete;
  void write(const std::vector<T> &values) {
    NYSJIT_CALL(cuMemcpyHtoD, address, values.data(), values.size() * sizeof(T));
  }
  void fill(unsigned char value) {
    NYSJIT_CALL(cuMemsetD8Async, address, value, count * sizeof(T), nullptr);
  }
  std::vector<T> read() const {
    std::vector<T> values(count);
    NYSJIT_CALL(cuMemcpyDtoH, values.data(), address, count * sizeof(T));
    return values;
  }
  CUdeviceptr address = 0;
  const size_t count;
};

struct Extent {
  Extent(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  unsigned x;
  unsigned y;
  unsigned z;
};

template <typename T> CUdeviceptr argument(const Buffer<T> &buffer) { return buffer.address; }
template <typename T> std::enable_if_t<std::is_arithmetic_v<T>, T> argument(T value) {
  return value;
}

class Kernel {
public:
  Kernel(CUmodule module, const char *name) {
    NYSJIT_CALL(cuModuleGetFunction, &function, module, name);
  }
  /// Allows `bytes` of dynamic shared memory.
  Kernel &allowShared(int bytes) {
    NYSJIT_CALL(cuFuncSetAttribute, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                bytes);
    return *this;
  }
  template <typename... Arguments>
  CUresult tryLaunch(Extent grid, Extent block, unsigned sharedBytes,
                     const Arguments &...arguments) {
    return launchWith(grid, block, sharedBytes, argument(arguments)...);
  }
  /// Launches and waits; what was found throws.
  template <typename... Arguments>
  void launch(Extent grid, Extent block, unsigned sharedBytes, const Arguments &...arguments) {
    check(tryLaunch(grid, block, sharedBytes, arguments...), "cuLaunchKernel");
    NYSJIT_CALL(cuCtxSynchronize);
  }
  CUfunction function = nullptr;

private:
  template <typename... Values>
  CUresult launchWith(Extent grid, Extent block, unsigned sharedBytes, Values... values) {
    void *pointers[] = {&values..., nullptr};
    return api().cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                sharedBytes, nullptr, pointers, nullptr);
  }
};

class Module {
public:
  explicit Module(const std::string &ptx) {
    char log[2048] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
    if (CUresult result = api().cuModuleLoadDataEx(&module, ptx.c_str(), 2, options, values))
      check(result, (std::string("cuModuleLoadDataEx: ") + log).c_str());
  }
  ~Module() { api().cuModuleUnload(module); }
  Module(const Module &) = delete;
  Kernel kernel(const char *name) const { return Kernel(module, name); }
  CUmodule module = nullptr;
};

inline nysjit_emulator_counts lastCounts() {
  nysjit_emulator_counts counts = {sizeof counts};
  if (api().lastCounts(&counts) != 0)
    throw std::runtime_error("nothing was launched");
  return counts;
}

/// The PTX of tests/emulator/fixtures/NAME.ptx.
inline std::string fixture(const std::string &name) {
  std::ifstream file(NYSJIT_SOURCE_DIR "/tests/emulator/fixtures/" + name + ".ptx",
                     std::ios::binary);
  if (!file)
    throw std::runtime_error("no fixture " + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace nysjit::emulator_test
