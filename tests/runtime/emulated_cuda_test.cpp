// Device "ptx-emulator" through the C API: the runtime's own code over the emulated driver, with
// kernels of the fake worker.
#include "runtime/cuda/driver.h"
#include "runtime/emulator/emulator.h"
#include "tests/runtime/fake_program.h"

#include <thread>

namespace nysjit {
namespace {

class Emulator : public FakeRuntime {
protected:
  void SetUp() override {
    openDevice();
    Result<std::shared_ptr<const CudaDriver>> opened = CudaDriver::open(*ptxEmulatorPlaces());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    driver = *opened;
    reset();
    ASSERT_EQ(api().cuDevicePrimaryCtxRetain(&own, 0), CUDA_SUCCESS);
    ASSERT_EQ(api().cuCtxSetCurrent(own), CUDA_SUCCESS);
  }
  void TearDown() override {
    reset();
    nysjit_program_release(program);
    program = nullptr;
    FakeRuntime::TearDown();
    api().cuCtxSetCurrent(nullptr);
    api().cuDevicePrimaryCtxRelease(0);
  }
  void openDevice() {
    nysjit_context_destroy(context);
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.cache_dir = "";
    options.compiler = FAKE_WORKER;
    options.device = "ptx-emulator";
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  nysjit_status prepareFor(const char *target = nullptr) {
    nysjit_program_release(program);
    program = nullptr;
    return nysjit_prepare(context, fakeSpec(), nullptr, target, &program);
  }
  const CudaSymbols &api() const { return driver->api(); }
  template <typename Function> Function *emulator(const char *name) const {
    return reinterpret_cast<Function *>(driver->symbol(name));
  }
  void reset() const { emulator<decltype(nysjit_emulator_reset)>("nysjit_emulator_reset")(); }
  void inject(const char *name, CUresult result) const {
    ASSERT_EQ(emulator<decltype(nysjit_emulator_inject)>("nysjit_emulator_inject")(name, 0, result),
              0);
  }
  static std::string message() { return nysjit_last_error(); }

  ScopedSetting ptx{"FAKE_WORKER_PTX", NYSJIT_SOURCE_DIR "/tests/runtime/fake_kernels.ptx"};
  std::shared_ptr<const CudaDriver> driver;
  CUcontext own = nullptr;
};

/// The tensors of a call in device memory.
class DeviceCall {
public:
  DeviceCall(const CudaDriver &driver, int64_t B, int64_t H, int64_t n, int64_t padding = 0)
      : call(B, H, n, fakeHeadDim, padding), driver(driver) {
    args = call.args;
    for (auto &[tensor, field] :
         std::initializer_list<std::pair<FakeTensor *, const DLTensor * nysjit_run_args::*>>{
             {&call.q, &nysjit_run_args::q},
             {&call.k, &nysjit_run_args::k},
             {&call.v, &nysjit_run_args::v},
             {&call.o, &nysjit_run_args::o}}) {
      CUdeviceptr memory = 0;
      EXPECT_EQ(driver.api().cuMemAlloc(&memory, tensor->elements.size() * sizeof(float)),
                CUDA_SUCCESS);
      memories.push_back(memory);
      tensor->tensor.data = reinterpret_cast<void *>(memory);
      tensor->tensor.device = {kDLCUDA, 0};
    }
    upload();
  }
  ~DeviceCall() {
    for (CUdeviceptr memory : memories)
      driver.api().cuMemFree(memory);
  }
  void upload() {
    for (size_t i = 0; i < 4; ++i) {
      FakeTensor &tensor = *std::vector<FakeTensor *>{&call.q, &call.k, &call.v, &call.o}[i];
      EXPECT_EQ(driver.api().cuMemcpyHtoD(memories[i], tensor.elements.data(),
                                          tensor.elements.size() * sizeof(float)),
                CUDA_SUCCESS);
    }
  }
  bool isRight(float scale) {
    EXPECT_EQ(driver.api().cuMemcpyDtoH(call.o.elements.data(), memories[3],
                                        call.o.elements.size() * sizeof(float)),
              CUDA_SUCCESS);
    return call.isRight(scale);
  }
  FakeCall call;
  nysjit_run_args args;

private:
  const CudaDriver &driver;
  std::vector<CUdeviceptr> memories;
};

TEST_F(Emulator, random_shapes_and_strides_give_the_right_values) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10; ++i) {
    DeviceCall call(*driver, random() % 3, random() % 4, random() % 40,
                    static_cast<int64_t>(random() % 9));
    const float scale = static_cast<float>(random() % 8);
    call.args.scale = &scale;
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message() << " seed " << seed;
    EXPECT_TRUE(call.isRight(scale)) << "seed " << seed;
  }
  EXPECT_EQ(driver->emulatorReport(), "");
}

TEST_F(Emulator, without_a_current_context_the_primary_is_used) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  DeviceCall call(*driver, 1, 2, 5);
  api().cuCtxSetCurrent(nullptr);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
  CUcontext current = own;
  api().cuCtxGetCurrent(&current);
  EXPECT_EQ(current, nullptr);
  api().cuCtxSetCurrent(own);
  EXPECT_TRUE(call.isRight(0.25f));
}

TEST_F(Emulator, a_captured_run_computes_at_each_launch) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  CUstream stream;
  CUgraph graph;
  CUgraphExec executable;
  ASSERT_EQ(api().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  DeviceCall call(*driver, 1, 3, 5);
  ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
  ASSERT_EQ(api().cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
  ASSERT_EQ(api().cuStreamEndCapture(stream, &graph), CUDA_SUCCESS); // nothing in the run spoilt it
  ASSERT_EQ(api().cuGraphInstantiate(&executable, graph, 0), CUDA_SUCCESS);
  for (uint64_t launch = 0; launch < 2; ++launch) {
    call.call.q.fill(launch + 7);
    std::fill(call.call.o.elements.begin(), call.call.o.elements.end(), 0.0f);
    call.upload();
    ASSERT_EQ(api().cuGraphLaunch(executable, stream), CUDA_SUCCESS);
    EXPECT_TRUE(call.isRight(0.25f)) << launch;
  }
  api().cuGraphExecDestroy(executable), api().cuGraphDestroy(graph), api().cuStreamDestroy(stream);
}

TEST_F(Emulator, a_workspace_that_must_grow_in_a_capture_is_an_error) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  CUstream stream;
  CUgraph graph = nullptr;
  ASSERT_EQ(api().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  DeviceCall call(*driver, 1, 3, 5);
  ASSERT_EQ(api().cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  EXPECT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_INVALID_ARGUMENT);
  EXPECT_NE(message().find("workspace: expected a workspace from the caller"), std::string::npos)
      << message();
  // the capture itself is unharmed
  EXPECT_EQ(api().cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  api().cuGraphDestroy(graph);
  api().cuStreamDestroy(stream);
}

TEST_F(Emulator, threads_may_share_a_program_and_a_stream) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      ASSERT_EQ(api().cuCtxSetCurrent(own), CUDA_SUCCESS);
      for (int i = 0; i < 5; ++i) {
        DeviceCall call(*driver, 1, 1 + t, 20);
        EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
        EXPECT_TRUE(call.isRight(0.25f));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST_F(Emulator, a_fault_is_the_error_of_a_later_call_with_the_report) {
  const ScopedSetting racing("FAKE_WORKER_PTX",
                             NYSJIT_SOURCE_DIR "/tests/runtime/racing_kernels.ptx");
  openDevice();
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  DeviceCall call(*driver, 1, 1, 7); // reads outside q
  nysjit_launch_timing timings[2];
  call.args.timings = timings;
  call.args.timing_capacity = 2;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_IO); // measuring waits
  EXPECT_NE(message().find("CUDA_ERROR_ILLEGAL_ADDRESS (700)"), std::string::npos) << message();
  EXPECT_NE(message().find("scaled_copy"), std::string::npos) << message(); // the emulator's report
  call.args.timings = nullptr;
  call.args.timing_capacity = 0;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_IO);
}

TEST_F(Emulator, every_injected_failure_is_an_error_with_the_call) {
  for (const char *name :
       {"cuInit", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceGetAttribute", "cuCtxGetCurrent",
        "cuCtxGetDevice", "cuModuleLoadDataEx", "cuModuleGetFunction", "cuFuncSetAttribute",
        "cuMemAlloc", "cuLaunchKernel"}) {
    nysjit_program_release(program);
    program = nullptr;
    openDevice();
    DeviceCall call(*driver, 1, 2, 5);
    inject(name, CUDA_ERROR_LAUNCH_TIMEOUT);
    nysjit_status status = prepareFor();
    if (status == NYSJIT_OK)
      status = nysjit_run(program, &call.args, nullptr);
    EXPECT_EQ(status, NYSJIT_IO) << name;
    EXPECT_NE(message().find(name), std::string::npos) << message();
    EXPECT_NE(message().find("CUDA_ERROR_LAUNCH_TIMEOUT (702)"), std::string::npos) << message();
  }
}

TEST_F(Emulator, ptx_that_is_wrong_is_an_error_with_its_line) {
  writeAll(
      folder / "wrong.ptx",
      ".version 7.0\n.target sm_80\n.address_size 64\n.entry row_sum()\n{\n  frobnicate;\n}\n");
  const ScopedSetting wrong("FAKE_WORKER_PTX", folder / "wrong.ptx");
  openDevice();
  EXPECT_EQ(prepareFor(), NYSJIT_COMPILE_FAILED);
  EXPECT_NE(message().find("CUDA_ERROR_INVALID_PTX"), std::string::npos) << message();
  EXPECT_NE(message().find("line 6"), std::string::npos) << message();
}

} // namespace
} // namespace nysjit
