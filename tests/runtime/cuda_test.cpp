// Device "cuda" through the C API, on a fake driver: contexts, modules, streams, graphs, and every failure a driver
// has.
#include "runtime/cuda/driver.h"
#include "tests/runtime/fake_driver.h"
#include "tests/runtime/fake_program.h"

#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>
#include <thread>

namespace nysjit {
namespace {

/// q, k, v, o in what the fake driver takes for memory of a GPU.
struct GpuCall : FakeCall {
  GpuCall(int64_t B, int64_t H, int64_t n, int device = 0) : FakeCall(B, H, n) {
    for (FakeTensor *tensor : {&q, &k, &v, &o})
      tensor->tensor.device = {kDLCUDA, device};
  }
};

class Cuda : public FakeRuntime {
protected:
  void SetUp() override {
    fake_driver_capability(90);
    fake_driver_version(13000);
    openDevice("cuda");
    cuInit(0);
    fake_driver_reset();
  }
  void TearDown() override {
    nysjit_program_release(program);
    program = nullptr;
    FakeRuntime::TearDown();
    cuCtxSetCurrent(nullptr);
  }
  void openDevice(const char *device) {
    nysjit_program_release(program);
    program = nullptr;
    nysjit_context_destroy(context);
    context = nullptr;
    nysjit_context_options options = {};
    options.size = sizeof options;
    const std::string cache = folder / "cache";
    options.cache_dir = cache.c_str();
    options.compiler = FAKE_WORKER;
    options.device = device;
    ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  nysjit_status prepareFor(const char *target = nullptr) {
    nysjit_program_release(program);
    program = nullptr;
    return nysjit_prepare(context, fakeSpec(), nullptr, target, &program);
  }
  static std::string message() { return nysjit_last_error(); }
  static bool says(const std::string &part) { return message().find(part) != std::string::npos; }
  static void makeCurrent(CUcontext ctx) { cuCtxSetCurrent(ctx); }
  void expectRight(int64_t H = 2, int64_t n = 5, CUstream stream = nullptr) {
    GpuCall call(1, H, n);
    ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
    EXPECT_TRUE(call.isRight(0.25f));
  }
  void writeTool(const std::string &name) {
    writeAll(folder / name, "#!/bin/sh\n");
    chmod((folder / name).c_str(), 0700);
  }

  ScopedSetting driver{"NYSJIT_CUDA_DRIVER", FAKE_DRIVER}, emulator{"NYSJIT_PTX_EMULATOR", FAKE_DRIVER},
      noTool{"NYSJIT_PTXAS", "/absent/ptxas"};
};

TEST_F(Cuda, a_program_is_prepared_for_the_devices_capability_and_computes) {
  fake_driver_capability(87);
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().target, "cuda:sm_86");
  EXPECT_EQ(info().scratch_bytes_per_thread, 0u);
  EXPECT_EQ(info().object, nullptr); // no ptxas
  EXPECT_EQ(info().object_size, 0u);
  EXPECT_NE(std::string(info().ptx).find(".version"), std::string::npos);
  EXPECT_NE(std::string(info().plan_json).find("\"block\": 32, \"shared_bytes\": 65536"), std::string::npos);
  expectRight();
}

TEST_F(Cuda, the_second_run_calls_the_launches_and_nothing_else) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  makeCurrent(fake_driver_new_context(0));
  expectRight();
  fake_driver_reset();
  expectRight();
  EXPECT_STREQ(fake_driver_called(), "cuCtxGetCurrent cuLaunchKernel");
  EXPECT_EQ(fake_driver_calls("cuLaunchKernel"), 2);
}

TEST_F(Cuda, a_kernel_that_may_overlap_does_so_behind_another_of_the_run) {
  const ScopedSetting overlap("FAKE_WORKER_OVERLAP", "1");
  for (const int version : {12020, 12030, 13000}) {
    fake_driver_version(version);
    openDevice("cuda");
    ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
    fake_driver_reset();
    expectRight();
    expectRight();
    const bool overlaps = version >= 12030; // the first that captures it
    EXPECT_EQ(fake_driver_calls("cuLaunchKernel"), overlaps ? 2 : 4);
    EXPECT_EQ(fake_driver_calls("cuLaunchKernelEx"), overlaps ? 2 : 0);
  }
  GpuCall call(1, 2, 5);
  nysjit_launch_timing timings[2] = {};
  call.args.timings = timings;
  call.args.timing_capacity = 2;
  fake_driver_inject("cuLaunchKernelEx", 0, CUDA_ERROR_LAUNCH_TIMEOUT);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message(); // measured: one after the other
  call.args.timings = nullptr;
  call.args.timing_capacity = 0;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_IO);
  EXPECT_TRUE(says("cuLaunchKernelEx (scaled_copy)")) << message();
}

TEST_F(Cuda, with_a_current_context_preparing_loads_the_module) {
  makeCurrent(fake_driver_new_context(0));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 1);
  expectRight();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 1);
  EXPECT_EQ(fake_driver_calls("cuDevicePrimaryCtxRetain"), 0);
}

TEST_F(Cuda, without_one_the_tensors_devices_primary_context_is_current_for_the_call) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  for (int device : {1, 1, 0}) {
    GpuCall call(1, 1, 3, device);
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
    EXPECT_TRUE(call.isRight(0.25f));
    CUcontext current = nullptr;
    cuCtxGetCurrent(&current);
    EXPECT_EQ(current, nullptr);
  }
  EXPECT_EQ(fake_driver_calls("cuDevicePrimaryCtxRetain"), 2);
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 2);
}

TEST_F(Cuda, each_context_has_its_module_once) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  const CUcontext contexts[] = {fake_driver_new_context(0), fake_driver_new_context(0)};
  for (int i : {0, 1, 0, 1, 1}) {
    makeCurrent(contexts[i]);
    expectRight();
    CUcontext current = nullptr;
    cuCtxGetCurrent(&current);
    EXPECT_EQ(current, contexts[i]);
  }
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 2);
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 2); // a workspace each
}

TEST_F(Cuda, all_that_was_taken_is_given_back) {
  const int before = fake_driver_live();
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  expectRight();
  makeCurrent(fake_driver_new_context(1));
  GpuCall call(1, 2, 700, 1);
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
  EXPECT_GT(fake_driver_live(), before);
  nysjit_program_release(program);
  program = nullptr;
  nysjit_context_destroy(context);
  context = nullptr;
  EXPECT_EQ(fake_driver_live(), before);
}

TEST_F(Cuda, tensors_lie_on_the_contexts_device) {
  makeCurrent(fake_driver_new_context(1));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall elsewhere(1, 1, 3, 0);
  EXPECT_EQ(nysjit_run(program, &elsewhere.args, nullptr), NYSJIT_INVALID_SHAPE);
  EXPECT_EQ(message(), "q.device: expected device 1, the current context's, found device 0");
  GpuCall scattered(1, 1, 3, 1);
  scattered.v.tensor.device.device_id = 0;
  EXPECT_EQ(nysjit_run(program, &scattered.args, nullptr), NYSJIT_INVALID_SHAPE);
  EXPECT_EQ(message(), "v.device: expected GPU memory (kDLCUDA) of device 1, found GPU memory (kDLCUDA) of device 0");
  FakeCall host(1, 1, 3);
  EXPECT_EQ(nysjit_run(program, &host.args, nullptr), NYSJIT_INVALID_SHAPE);
  EXPECT_EQ(message(), "q.device: expected GPU memory (kDLCUDA), found CPU memory (kDLCPU)");
  EXPECT_EQ(fake_driver_calls("cuLaunchKernel"), 0);
}

TEST_F(Cuda, a_device_number_there_is_not_is_an_error) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  for (int device : {2, -1}) {
    GpuCall call(1, 1, 3, device);
    EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_SHAPE);
    EXPECT_TRUE(says("2 devices")) << message();
  }
}

TEST_F(Cuda, a_grid_past_the_hardwares_is_an_error) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall call(1, 1, 1);
  for (FakeTensor *tensor : {&call.q, &call.k, &call.v, &call.o}) {
    tensor->shape[0] = tensor->shape[1] = 1 << 16;
    tensor->strides[0] = int64_t(16) << 16;
    tensor->strides[1] = 16;
  }
  for (FakeTensor *tensor : {&call.q, &call.k, &call.v})
    tensor->strides[0] = tensor->strides[1] = 0;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_SHAPE);
  EXPECT_TRUE(says("row_sum.grid: expected at most 2147483647")) << message();
}

TEST_F(Cuda, a_captured_run_computes_at_each_launch) {
  makeCurrent(fake_driver_new_context(0));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  CUstream stream;
  CUgraph graph;
  CUgraphExec executable;
  cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  GpuCall call(2, 2, 5);
  ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message(); // the workspace is there
  cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  fake_driver_reset();
  ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
  EXPECT_STREQ(fake_driver_called(), "cuCtxGetCurrent cuLaunchKernel");
  cuStreamEndCapture(stream, &graph);
  cuGraphInstantiateWithFlags(&executable, graph, 0);
  for (int launch = 0; launch < 2; ++launch) {
    call.q.fill(static_cast<uint64_t>(launch) + 7);
    std::fill(call.o.elements.begin(), call.o.elements.end(), 0.0f);
    cuGraphLaunch(executable, stream);
    EXPECT_TRUE(call.isRight(0.25f)) << launch;
  }
}

TEST_F(Cuda, a_workspace_cannot_grow_during_a_capture) {
  makeCurrent(fake_driver_new_context(0));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  CUstream stream;
  cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  GpuCall call(2, 2, 5);
  EXPECT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_INVALID_ARGUMENT);
  EXPECT_TRUE(says("workspace: expected a workspace from the caller, or a run of this size")) << message();
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 0);
  // With one of the caller's it can be captured at once.
  alignas(256) char workspace[4096];
  call.args.workspace = workspace;
  call.args.workspace_size = sizeof workspace;
  EXPECT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 0);
}

TEST_F(Cuda, a_callers_workspace_is_checked) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall call(1, 2, 5);
  size_t bytes = 0;
  ASSERT_EQ(nysjit_workspace_size(program, &call.args, &bytes), NYSJIT_OK) << message();
  EXPECT_EQ(bytes, 256u); // 40 bytes, padded
  alignas(256) char workspace[1024];
  call.args.workspace = workspace + 64;
  call.args.workspace_size = 512;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_ARGUMENT);
  EXPECT_TRUE(says("256-byte boundary")) << message();
  call.args.workspace = workspace;
  call.args.workspace_size = 255;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_ARGUMENT);
  call.args.workspace_size = 256;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
  EXPECT_TRUE(call.isRight(0.25f));
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 0);
}

TEST_F(Cuda, an_outgrown_workspace_is_kept) {
  makeCurrent(fake_driver_new_context(0));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  for (int64_t n : {5, 500, 900, 1000, 5})
    expectRight(2, n);
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 3); // twice what 500 takes covers 900 and 1000
  EXPECT_EQ(fake_driver_calls("cuMemFree"), 0);
}

TEST_F(Cuda, threads_on_one_stream_take_turns) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        GpuCall call(1, 1 + t, 40);
        wrong += nysjit_run(program, &call.args, nullptr) != NYSJIT_OK || !call.isRight(0.25f);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(fake_driver_interleaved(), 0);
}

TEST_F(Cuda, threads_load_a_module_once) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] { expectRight(); });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 1);
}

TEST_F(Cuda, launches_are_measured_by_events) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall call(1, 2, 5);
  nysjit_launch_timing timings[4] = {};
  size_t count = 0;
  call.args.timings = timings;
  call.args.timing_capacity = 4;
  call.args.timing_count = &count;
  ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
  ASSERT_EQ(count, 2u);
  EXPECT_STREQ(timings[0].kernel, "row_sum");
  EXPECT_STREQ(timings[1].kernel, "scaled_copy");
  EXPECT_EQ(timings[1].grid, 2);
  EXPECT_EQ(timings[1].ms, 0.5); // between one event and the next
  EXPECT_EQ(fake_driver_calls("cuEventCreate"), fake_driver_calls("cuEventDestroy"));
}

TEST_F(Cuda, nothing_to_do_asks_the_driver_nothing) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  fake_driver_reset();
  GpuCall call(0, 2, 5);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
  EXPECT_STREQ(fake_driver_called(), "");
}

/// Prepares, runs and measures; the first failure.
nysjit_status allOf(Cuda &, nysjit_context *context) {
  nysjit_program *mine = nullptr;
  nysjit_status status = nysjit_prepare(context, fakeSpec(), nullptr, nullptr, &mine);
  GpuCall call(1, 2, 5);
  nysjit_launch_timing timings[4];
  if (status == NYSJIT_OK)
    status = nysjit_run(mine, &call.args, nullptr);
  call.args.timings = timings;
  call.args.timing_capacity = 4;
  if (status == NYSJIT_OK)
    status = nysjit_run(mine, &call.args, nullptr);
  nysjit_program_release(mine);
  return status;
}

TEST_F(Cuda, every_failure_of_the_driver_is_an_error_with_its_name_and_the_call) {
  ASSERT_EQ(allOf(*this, context), NYSJIT_OK) << message();
  std::istringstream names(fake_driver_called());
  const std::string cleanup = " cuCtxPopCurrent cuEventDestroy cuModuleUnload cuMemFree cuDevicePrimaryCtxRelease ";
  int tried = 0;
  for (std::string name; names >> name;) {
    if (cleanup.find(" " + name + " ") != std::string::npos)
      continue;
    for (int after : {0, 1}) {
      openDevice("cuda");
      fake_driver_reset();
      fake_driver_inject(name.c_str(), after, CUDA_ERROR_OUT_OF_MEMORY);
      const nysjit_status status = allOf(*this, context);
      if (after == 1 && fake_driver_calls(name.c_str()) < 2)
        continue; // called once
      EXPECT_EQ(status, NYSJIT_IO) << name << ": " << message();
      EXPECT_TRUE(says(name) && says("CUDA_ERROR_OUT_OF_MEMORY (2): as the test ordered")) << name << message();
      CUcontext current = nullptr;
      cuCtxGetCurrent(&current);
      EXPECT_EQ(current, nullptr) << name;
      ++tried;
    }
    // And the next attempt finds nothing spoilt.
    fake_driver_reset();
    EXPECT_EQ(allOf(*this, context), NYSJIT_OK) << name << ": " << message();
  }
  EXPECT_GE(tried, 20);
}

TEST_F(Cuda, failures_have_the_kind_of_their_cause) {
  makeCurrent(fake_driver_new_context(0));
  const std::tuple<const char *, CUresult, nysjit_status> cases[] = {
      {"cuInit", CUDA_ERROR_NO_DEVICE, NYSJIT_UNAVAILABLE},
      {"cuModuleLoadDataEx", CUDA_ERROR_INVALID_PTX, NYSJIT_COMPILE_FAILED},
      {"cuModuleLoadDataEx", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, NYSJIT_UNAVAILABLE},
      {"cuCtxGetDevice", CUDA_ERROR_ILLEGAL_ADDRESS, NYSJIT_IO}};
  for (const auto &[name, result, expected] : cases) {
    openDevice("cuda");
    fake_driver_inject(name, 0, result);
    EXPECT_EQ(prepareFor(), expected) << message();
  }
}

TEST_F(Cuda, a_driver_that_is_not_there_or_lacks_a_symbol_is_unavailable) {
  const ScopedSetting absent("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so.1");
  openDevice("cuda");
  EXPECT_EQ(prepareFor(), NYSJIT_UNAVAILABLE);
  EXPECT_TRUE(says("device cuda") && says("/absent/libcuda.so.1")) << message();
  const ScopedSetting old("NYSJIT_CUDA_DRIVER", FAKE_OLD_DRIVER);
  openDevice("cuda");
  EXPECT_EQ(prepareFor("cuda:sm_80"), NYSJIT_UNAVAILABLE);
  EXPECT_TRUE(says("cuLaunchKernelEx") && says(FAKE_OLD_DRIVER)) << message();
}

TEST_F(Cuda, a_missing_driver_breaks_no_other_device) {
  const ScopedSetting absent("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so.1");
  openDevice("cpu");
  EXPECT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_EQ(std::string(info().target), "cpu:native");
  EXPECT_EQ(info().ptx, nullptr);
}

TEST_F(Cuda, devices_and_targets_must_fit) {
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.device = "gpu";
  nysjit_context *none = nullptr;
  EXPECT_EQ(nysjit_context_create(&options, &none), NYSJIT_UNKNOWN_DEVICE);
  EXPECT_EQ(message(), "options.device: expected cpu, cuda or ptx-emulator, found \"gpu\"");
  EXPECT_EQ(prepareFor("cpu:native"), NYSJIT_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "target: expected a cuda target for device cuda, found cpu:native");
  openDevice("cpu");
  EXPECT_EQ(prepareFor("cuda:sm_80"), NYSJIT_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "target: expected a cpu target for device cpu, found cuda:sm_80");
}

TEST_F(Cuda, a_target_above_the_gpus_is_unavailable) {
  fake_driver_capability(80);
  EXPECT_EQ(prepareFor("cuda:sm_90"), NYSJIT_UNAVAILABLE);
  EXPECT_EQ(message(), "cuda:sm_90: expected a GPU of compute capability 9.0 or more, found Fake GPU of 8.0");
  fake_driver_capability(75);
  openDevice("cuda");
  EXPECT_EQ(prepareFor(), NYSJIT_UNAVAILABLE);
  EXPECT_TRUE(says("7.5")) << message();
}

TEST_F(Cuda, an_older_targets_ptx_runs_on_a_newer_gpu) {
  writeTool("ptxas");
  const ScopedSetting tool("NYSJIT_PTXAS", folder / "ptxas");
  ASSERT_EQ(prepareFor("cuda:sm_80"), NYSJIT_OK) << message();
  fake_driver_refuse_cubins(true);
  expectRight();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 2);
}

TEST_F(Cuda, the_cubin_is_what_is_loaded) {
  writeTool("ptxas");
  const ScopedSetting tool("NYSJIT_PTXAS", folder / "ptxas");
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_EQ(std::string(static_cast<const char *>(info().object), info().object_size), "\x7f"
                                                                                       "ELF, a cubin");
  EXPECT_EQ(nlohmann::json::parse(info().kernels_json)[0]["assembler"], folder / "ptxas"); // what the worker was told
  expectRight();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 1);
}

TEST_F(Cuda, ptx_the_driver_refuses_is_an_error_with_its_log) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "bad-ptx");
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall call(1, 1, 3);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_COMPILE_FAILED);
  EXPECT_TRUE(says("cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218)") && says("its log: line 1: no .version"))
      << message();
}

TEST_F(Cuda, nonsense_from_the_worker_is_an_error) {
  for (const char *mode : {"no-ptx", "cpu-plan", "no-blobs"}) {
    const ScopedSetting setting("FAKE_WORKER_MODE", mode);
    openDevice("cuda");
    EXPECT_EQ(prepareFor(), NYSJIT_COMPILE_FAILED) << mode << ": " << message();
  }
}

TEST_F(Cuda, the_disk_holds_a_program_for_each_assembler) {
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  const std::string without = info().key;
  openDevice("cuda");
  ASSERT_EQ(prepareFor(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "disk");
  EXPECT_EQ(info().key, without);
  expectRight();
  writeTool("ptxas");
  const ScopedSetting tool("NYSJIT_PTXAS", folder / "ptxas");
  openDevice("cuda");
  ASSERT_EQ(prepareFor(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "compiled");
  EXPECT_NE(info().key, without);
  // The emulator runs PTX alone, which is the program without an assembler.
  openDevice("ptx-emulator");
  ASSERT_EQ(prepareFor("cuda:sm_90"), NYSJIT_OK) << message();
  EXPECT_STREQ(info().cache, "disk");
  EXPECT_EQ(info().key, without);
  expectRight();
}

TEST_F(Cuda, the_emulators_default_target_is_the_least) {
  openDevice("ptx-emulator");
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().target, "cuda:sm_80");
}

TEST_F(Cuda, a_caller_of_the_old_header_gets_the_cpu) {
  nysjit_context_destroy(context);
  nysjit_context_options options = {};
  options.size = offsetof(nysjit_context_options, device);
  options.device = "cuda"; // beyond what the size covers
  options.compiler = FAKE_WORKER;
  options.cache_dir = "";
  ASSERT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK);
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().target, "cpu:native");
}

} // namespace
} // namespace nysjit
