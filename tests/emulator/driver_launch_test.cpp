// Modules, functions, memory and launches, as the driver checks them; faults stick.
#include "tests/emulator/driver_kernels.h"
#include "tests/emulator/harness.h"

using namespace nysjit::emulator_test;

namespace {

CUresult load(const std::string &ptx, std::string *log = nullptr) {
  char text[512] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {text, reinterpret_cast<void *>(sizeof text)};
  CUmodule module = nullptr;
  const CUresult result = api().cuModuleLoadDataEx(&module, ptx.c_str(), 2, options, values);
  if (log)
    *log = text;
  if (result == CUDA_SUCCESS)
    api().cuModuleUnload(module);
  return result;
}

std::string empty(const char *version, const char *target) {
  return std::string("// .version 99.9\n.version ") + version + "\n.target " + target +
         "\n.address_size 64\n.visible .entry k() { ret; }\n";
}

int attribute(const Kernel &kernel, CUfunction_attribute which) {
  int value = -1;
  NYSJIT_CALL(cuFuncGetAttribute, &value, which, kernel.function);
  return value;
}

} // namespace

TEST(EmulatorModule, RefusesWhatTheDriverRefuses) {
  Device device;
  std::string log;
  EXPECT_EQ(load(empty("9.0", "sm_80")), CUDA_SUCCESS);
  EXPECT_EQ(load(empty("9.1", "sm_80")), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(load(empty("9.0", "sm_75")), CUDA_SUCCESS);
  EXPECT_EQ(load(empty("9.0", "sm_90"), &log), CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_NE(log.find("sm_90"), log.npos) << log;
  EXPECT_EQ(load("\x7f"
                 "ELF..."),
            CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(load(empty("8.0", "sm_80") + ".visible .entry broken() { frobnicate.u32 %r1; }", &log),
            CUDA_ERROR_INVALID_PTX);
  EXPECT_NE(log.find("line 6"), log.npos) << log;
  EXPECT_EQ(load("nothing like PTX"), CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(load(""), CUDA_ERROR_INVALID_PTX);
}

TEST(EmulatorModule, RunsArchitectureSpecificTargetsOnTheirOwnOnly) {
  {
    Device device({.capability = 90});
    EXPECT_EQ(load(empty("8.0", "sm_90a")), CUDA_SUCCESS);
  }
  Device device({.capability = 100});
  EXPECT_EQ(load(empty("8.0", "sm_90")), CUDA_SUCCESS);
  EXPECT_EQ(load(empty("8.0", "sm_90a")), CUDA_ERROR_NO_BINARY_FOR_GPU);
}

TEST(EmulatorModule, FindsFunctionsAndVariables) {
  Device device;
  CUfunction function;
  CUfunction again;
  CUdeviceptr address;
  size_t bytes;
  CUmodule module;
  NYSJIT_CALL(cuModuleLoadData, &module, setPtx);
  NYSJIT_CALL(cuModuleGetFunction, &function, module, "set");
  NYSJIT_CALL(cuModuleGetFunction, &again, module, "set");
  EXPECT_EQ(function, again);
  EXPECT_EQ(api().cuModuleGetFunction(&again, module, "absent"), CUDA_ERROR_NOT_FOUND);
  NYSJIT_CALL(cuModuleGetGlobal, &address, &bytes, module, "table");
  EXPECT_EQ(bytes, 16u);
  int table[4];
  NYSJIT_CALL(cuMemcpyDtoH, table, address, 16);
  EXPECT_EQ(table[3], 4);
  EXPECT_EQ(api().cuMemFree(address), CUDA_ERROR_INVALID_VALUE); // the module's, not ours
  NYSJIT_CALL(cuModuleUnload, module);
  EXPECT_EQ(api().cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuMemcpyDtoH(table, address, 16), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            CUDA_ERROR_INVALID_HANDLE);
}

TEST(EmulatorModule, TellsFunctionsAttributes) {
  Device device;
  Module module(setPtx);
  const Kernel kernel = module.kernel("withShared");
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), 4096);
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 256);
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES), 0);
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_NUM_REGS), 0); // it has none to count
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_BINARY_VERSION), 80);
  EXPECT_EQ(attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES), 49152 - 4096);
  int value;
  EXPECT_EQ(api().cuFuncGetAttribute(&value, CUfunction_attribute(99), kernel.function),
            CUDA_ERROR_INVALID_VALUE);
}

TEST(EmulatorMemory, ChecksEveryAddress) {
  Device device;
  Buffer<int> buffer({1, 2, 3, 4});
  EXPECT_EQ(buffer.read(), (std::vector<int>{1, 2, 3, 4}));
  int host[8] = {};
  CUdeviceptr address;
  EXPECT_EQ(api().cuMemAlloc(&address, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemAlloc(&address, size_t(1) << 40), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(api().cuMemcpyDtoH(host, buffer.address, 20), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemcpyHtoD(buffer.address + 8, host, 12), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemcpyHtoD(buffer.address, nullptr, 4), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemcpyHtoD(0, nullptr, 0), CUDA_SUCCESS);
  EXPECT_EQ(api().cuMemsetD8Async(buffer.address, 0, 17, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemFree(buffer.address + 4), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuMemFree(0), CUDA_ERROR_INVALID_VALUE);
  NYSJIT_CALL(cuMemcpyDtoDAsync, buffer.address, buffer.address + 8, 8, nullptr);
  NYSJIT_CALL(cuMemsetD8Async, buffer.address + 12, 0xff, 4, nullptr);
  EXPECT_EQ(buffer.read(), (std::vector<int>{3, 4, 3, -1}));
}

TEST(EmulatorLaunch, PassesParametersEitherWay) {
  Device device;
  Module module(setPtx);
  Buffer<int> out(std::vector<int>{0, 0});
  Kernel set = module.kernel("set");
  set.launch(1, 2, 0, out, 7);
  EXPECT_EQ(out.read(), (std::vector<int>{7, 7}));
  struct {
    CUdeviceptr out;
    int value;
  } block = {out.address, 9};
  size_t bytes = 12;
  void *extra[] = {reinterpret_cast<void *>(1), &block, reinterpret_cast<void *>(2), &bytes,
                   nullptr};
  EXPECT_EQ(api().cuLaunchKernel(set.function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra),
            CUDA_SUCCESS);
  EXPECT_EQ(out.read(), (std::vector<int>{9, 7}));
  bytes = 8;
  EXPECT_EQ(api().cuLaunchKernel(set.function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuLaunchKernel(set.function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(lastCounts().global_write_bytes, 4);
}

TEST(EmulatorLaunch, ChecksGridAndBlock) {
  Device device;
  Module module(setPtx);
  Kernel bounded = module.kernel("withShared");
  Kernel exact = module.kernel("exact");
  EXPECT_EQ(bounded.tryLaunch({1}, {256}, 0), CUDA_SUCCESS);
  EXPECT_EQ(bounded.tryLaunch({1}, {257}, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(bounded.tryLaunch({1, 65536}, {1}, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(bounded.tryLaunch({0}, {1}, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(bounded.tryLaunch({1}, {1, 1, 65}, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(exact.tryLaunch({1}, {64, 2}, 0), CUDA_SUCCESS);
  EXPECT_EQ(exact.tryLaunch({1}, {128}, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST(EmulatorLaunch, SharedMemoryOver48KiBMustBeAskedFor) {
  Device device;
  Module module(setPtx);
  Kernel kernel = module.kernel("withShared");
  EXPECT_EQ(kernel.tryLaunch({1}, {1}, 49152 - 4096), CUDA_SUCCESS);
  EXPECT_EQ(kernel.tryLaunch({1}, {1}, 49152 - 4095), CUDA_ERROR_INVALID_VALUE);
  kernel.allowShared(166912 - 4096);
  EXPECT_EQ(kernel.tryLaunch({1}, {1}, 166912 - 4096), CUDA_SUCCESS);
  EXPECT_EQ(api().cuFuncSetAttribute(
                kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 166912 - 4095),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuFuncSetAttribute(kernel.function, CU_FUNC_ATTRIBUTE_NUM_REGS, 1),
            CUDA_ERROR_INVALID_VALUE);
}

TEST(EmulatorLaunch, ExTakesAttributes) {
  Device device({.capability = 90});
  Module module(setPtx);
  Kernel kernel = module.kernel("exact");
  CUlaunchAttribute attribute = {};
  CUlaunchConfig config = {2, 1, 1, 64, 2, 1, 0, nullptr, &attribute, 1};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  EXPECT_EQ(api().cuLaunchKernelEx(&config, kernel.function, nullptr, nullptr), CUDA_SUCCESS);
  attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute.value.clusterDim = {1, 1, 1};
  EXPECT_EQ(api().cuLaunchKernelEx(&config, kernel.function, nullptr, nullptr), CUDA_SUCCESS);
  attribute.value.clusterDim = {3, 1, 1};
  EXPECT_EQ(api().cuLaunchKernelEx(&config, kernel.function, nullptr, nullptr),
            CUDA_ERROR_INVALID_VALUE);
  attribute.value.clusterDim = {2, 1, 1};
  EXPECT_EQ(api().cuLaunchKernelEx(&config, kernel.function, nullptr, nullptr),
            CUDA_ERROR_NOT_SUPPORTED);
}

TEST(EmulatorLaunch, OneThatMayOverlapMustWait) {
  for (const int capability : {80, 90})
    for (const int allowed : {0, 1}) {
      Device device({.capability = capability});
      Module module(setPtx);
      Buffer<int> out(std::vector<int>{5});
      Kernel set = module.kernel("set");
      CUlaunchAttribute attribute = {};
      attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
      attribute.value.programmaticStreamSerializationAllowed = allowed;
      const CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, nullptr, &attribute, 1};
      CUdeviceptr address = out.address;
      int value = 8;
      void *parameters[] = {&address, &value};
      EXPECT_EQ(api().cuLaunchKernelEx(&config, set.function, parameters, nullptr), CUDA_SUCCESS);
      const bool isEarly = capability == 90 && allowed;
      EXPECT_EQ(api().cuCtxSynchronize(), isEarly ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS);
      EXPECT_EQ(std::string(api().report()).find("before griddepcontrol.wait") != std::string::npos,
                isEarly)
          << api().report();
    }
}

TEST(EmulatorLaunch, FaultsStick) {
  Device device;
  Module module(setPtx);
  Buffer<int> out(std::vector<int>{5});
  Kernel set = module.kernel("set");
  EXPECT_EQ(set.tryLaunch({1}, {2}, 0, out, 7), CUDA_SUCCESS); // one past the end
  EXPECT_EQ(set.tryLaunch({1}, {1}, 0, out, 8), CUDA_SUCCESS); // not noticed yet; does nothing
  EXPECT_EQ(api().cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(set.tryLaunch({1}, {1}, 0, out, 8), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(api().cuStreamSynchronize(nullptr), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr address;
  EXPECT_EQ(api().cuMemAlloc(&address, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
  const std::string report = api().report();
  EXPECT_EQ(report.rfind("set launch 1: ", 0), 0u) << report;
  api().reset();
  EXPECT_STREQ(api().report(), "");
  set.launch(1, 1, 0, out, 8);
  EXPECT_EQ(out.read()[0], 8);
}
