// cuInit, the device, contexts, errors, the exported symbols and injected failures.
#include "tests/emulator/driver_kernels.h"
#include "tests/emulator/harness.h"

#include <filesystem>
#include <set>
#include <thread>
#include <unistd.h>

using namespace nysjit::emulator_test;

namespace {

/// A library of its own, in which cuInit was not called: a copy of the file is another library to
/// the loader.
Api freshLibrary() {
  const std::string copy =
      testing::TempDir() + "/nysjit_emulator_" + std::to_string(getpid()) + ".so";
  std::filesystem::copy_file(libraryPath(), copy,
                             std::filesystem::copy_options::overwrite_existing);
  Api api(copy);
  std::filesystem::remove(copy);
  return api;
}

int attribute(CUdevice_attribute which) {
  int value = -1;
  NYSJIT_CALL(cuDeviceGetAttribute, &value, which, 0);
  return value;
}

/// Calls a driver's function with zeros.
template <typename... Arguments> CUresult callWithZeros(CUresult (*function)(Arguments...)) {
  return function(Arguments{}...);
}

} // namespace

TEST(EmulatorDriver, NothingWorksBeforeInit) {
  const Api fresh = freshLibrary();
  int count;
  CUdeviceptr address;
  CUcontext context;
  EXPECT_EQ(fresh.cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(fresh.cuMemAlloc(&address, 4), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(fresh.cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(fresh.cuDriverGetVersion(&count), CUDA_SUCCESS);
  EXPECT_EQ(count, 13000);
  EXPECT_EQ(fresh.cuInit(1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(fresh.cuInit(0), CUDA_SUCCESS);
  EXPECT_EQ(fresh.cuDeviceGetCount(&count), CUDA_SUCCESS);
  EXPECT_EQ(count, 1);
}

TEST(EmulatorDriver, ExportsTheDriversSymbolsAndItsOwnOnly) {
  std::set<std::string> expected = {"nysjit_emulator_configure", "nysjit_emulator_reset",
                                    "nysjit_emulator_last_counts", "nysjit_emulator_report",
                                    "nysjit_emulator_inject"};
#define NYSJIT_NAME(name, symbol, parameters) expected.insert(#symbol);
  NYSJIT_CUDA_SYMBOLS(NYSJIT_NAME)
  FILE *listing = popen(("nm -D --defined-only " + libraryPath()).c_str(), "r");
  ASSERT_TRUE(listing);
  std::set<std::string> found;
  char kind;
  char name[256];
  while (fscanf(listing, "%*s %c %255s", &kind, name) == 2)
    if (kind != 'A')
      found.insert(std::string(name).substr(0, std::string(name).find('@')));
  pclose(listing);
  EXPECT_EQ(found, expected);
}

TEST(EmulatorDriver, DeviceIsWhatItWasConfiguredToBe) {
  Device device;
  char name[64];
  NYSJIT_CALL(cuDeviceGetName, name, sizeof name, 0);
  EXPECT_STREQ(name, "nysjit PTX emulator");
  NYSJIT_CALL(cuDeviceGetName, name, 7, 0);
  EXPECT_STREQ(name, "nysjit");
  EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE), 32);
  EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 108);
  const int optIn[][2] = {{80, 166912}, {86, 101376},  {89, 101376},
                          {90, 232448}, {100, 232448}, {120, 101376}};
  for (const auto &[capability, bytes] : optIn) {
    nysjit_emulator_options options = {sizeof options, 0, capability, 0, 0};
    EXPECT_EQ(api().configure(&options), 0);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), capability / 10);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), capability % 10);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK), 49152);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), bytes)
        << capability;
  }
  int value;
  EXPECT_EQ(api().cuDeviceGetAttribute(&value, CUdevice_attribute(9999), 0),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(api().cuDeviceGet(&value, 1), CUDA_ERROR_INVALID_DEVICE);
  nysjit_emulator_options options = {1};
  EXPECT_EQ(api().configure(&options), -1);
}

TEST(EmulatorDriver, EachThreadHasItsOwnStackOfContexts) {
  Device device;
  CUcontext current = nullptr;
  CUcontext elsewhere = device.context;
  CUresult allocated = CUDA_SUCCESS;
  std::thread([&] {
    api().cuCtxGetCurrent(&elsewhere);
    CUdeviceptr address;
    allocated = api().cuMemAlloc(&address, 4);
  }).join();
  EXPECT_EQ(elsewhere, nullptr);
  EXPECT_EQ(allocated, CUDA_ERROR_INVALID_CONTEXT);
  NYSJIT_CALL(cuCtxPushCurrent, device.context);
  NYSJIT_CALL(cuCtxPopCurrent, &current);
  EXPECT_EQ(current, device.context);
  NYSJIT_CALL(cuCtxSetCurrent, nullptr);
  CUdevice ordinal;
  EXPECT_EQ(api().cuCtxGetDevice(&ordinal), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(api().cuCtxPopCurrent(&current), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(api().cuCtxSetCurrent(reinterpret_cast<CUcontext>(0x1234)), CUDA_ERROR_INVALID_CONTEXT);
  NYSJIT_CALL(cuCtxPushCurrent, device.context);
  NYSJIT_CALL(cuCtxGetDevice, &ordinal);
  EXPECT_EQ(ordinal, 0);
}

TEST(EmulatorDriver, ManyThreadsCallAtOnce) {
  Device device;
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (int &count : right)
    threads.emplace_back([&device, &count] {
      api().cuCtxPushCurrent(device.context);
      for (int i = 0; i < 50; ++i) {
        Buffer<int> buffer({i, i + 1});
        count += buffer.read() == std::vector<int>{i, i + 1};
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(right, (std::vector<int>(4, 50)));
}

TEST(EmulatorDriver, ReleasedContextTakesItsMemoryAlong) {
  CUcontext context;
  NYSJIT_CALL(cuInit, 0);
  NYSJIT_CALL(cuDevicePrimaryCtxRetain, &context, 0);
  NYSJIT_CALL(cuCtxPushCurrent, context);
  CUdeviceptr address;
  NYSJIT_CALL(cuMemAlloc, &address, 16);
  NYSJIT_CALL(cuDevicePrimaryCtxRelease, 0);
  EXPECT_EQ(api().cuMemFree(address), CUresult(709)); // CONTEXT_IS_DESTROYED
  EXPECT_EQ(api().cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
  NYSJIT_CALL(cuDevicePrimaryCtxRetain, &context, 0); // lives again under the same handle
  EXPECT_EQ(api().cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
  NYSJIT_CALL(cuDevicePrimaryCtxRelease, 0);
  NYSJIT_CALL(cuCtxPopCurrent, nullptr);
}

TEST(EmulatorDriver, NamesErrors) {
  const char *text = "";
  NYSJIT_CALL(cuGetErrorName, CUDA_ERROR_INVALID_PTX, &text);
  EXPECT_STREQ(text, "CUDA_ERROR_INVALID_PTX");
  NYSJIT_CALL(cuGetErrorString, CUDA_ERROR_OUT_OF_MEMORY, &text);
  EXPECT_STREQ(text, "out of memory");
  EXPECT_EQ(api().cuGetErrorName(CUresult(12345), &text), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(text, nullptr);
}

TEST(EmulatorInjection, ReachesEverySymbol) {
  Device device;
#define NYSJIT_INJECT(name, symbol, parameters)                                                    \
  EXPECT_EQ(api().inject(#name, 0, CUDA_ERROR_LAUNCH_TIMEOUT), 0) << #name;                        \
  EXPECT_EQ(callWithZeros(api().name), CUDA_ERROR_LAUNCH_TIMEOUT) << #name;                        \
  EXPECT_EQ(api().inject(#symbol, 0, CUDA_ERROR_UNKNOWN), 0) << #symbol;                           \
  EXPECT_EQ(callWithZeros(api().name), CUDA_ERROR_UNKNOWN) << #symbol;
  NYSJIT_CUDA_SYMBOLS(NYSJIT_INJECT)
  EXPECT_EQ(api().inject("cuLaunchHostFunc", 0, 1), -1);
  EXPECT_EQ(api().inject("cuInit", -1, 1), -1);
}

TEST(EmulatorInjection, CountsCallsAndDoesNothing) {
  Device device;
  api().inject("cuMemAlloc", 1, CUDA_ERROR_OUT_OF_MEMORY);
  api().inject("cuMemAlloc", 2, CUDA_ERROR_UNKNOWN);
  CUdeviceptr address[4] = {};
  EXPECT_EQ(api().cuMemAlloc(&address[0], 4), CUDA_SUCCESS);
  EXPECT_EQ(api().cuMemAlloc(&address[1], 4), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(api().cuMemAlloc(&address[2], 4), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(api().cuMemAlloc(&address[3], 4), CUDA_SUCCESS);
  EXPECT_EQ(address[1], 0u);
  api().inject("cuMemAlloc", 0, CUDA_ERROR_OUT_OF_MEMORY);
  api().reset();
  EXPECT_EQ(api().cuMemAlloc(&address[1], 4), CUDA_SUCCESS);
}

TEST(EmulatorDriver, GarbageIsAnErrorNotACrash) {
  Device device;
  Device again; // the zeros release one and take one off the stack
#define NYSJIT_GARBAGE(name, symbol, parameters) callWithZeros(api().name);
  NYSJIT_CUDA_SYMBOLS(NYSJIT_GARBAGE)
  NYSJIT_CALL(cuCtxPushCurrent, device.context);
  const auto garbage = reinterpret_cast<void *>(0xdeadbeef);
  int value;
  EXPECT_EQ(api().cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, CUfunction(garbage)),
            CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuModuleUnload(CUmodule(garbage)), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuStreamSynchronize(CUstream(garbage)), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuEventRecord(CUevent(garbage), nullptr), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuGraphLaunch(CUgraphExec(garbage), nullptr), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(
      api().cuLaunchKernel(CUfunction(garbage), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
      CUDA_ERROR_INVALID_HANDLE);
}
