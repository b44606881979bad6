// Contexts, modules, streams, graphs, workspaces and launches.
#include "tests/runtime/cuda_fixture.h"

#include <atomic>
#include <thread>

namespace nysjit {
namespace {

TEST_F(Cuda, a_program_is_prepared_for_the_devices_capability_and_computes) {
  fake_driver_capability(87);
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().target, "cuda:sm_86");
  EXPECT_EQ(info().scratch_bytes_per_thread, 0u);
  EXPECT_EQ(info().object, nullptr); // no ptxas
  EXPECT_EQ(info().object_size, 0u);
  EXPECT_NE(std::string(info().ptx).find(".version"), std::string::npos);
  EXPECT_NE(std::string(info().plan_json).find("\"block\": 32, \"shared_bytes\": 65536"),
            std::string::npos);
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
  // measured: one after the other
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << message();
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
  EXPECT_EQ(message(), "v.device: expected GPU memory (kDLCUDA) of device 1, found GPU memory "
                       "(kDLCUDA) of device 0");
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
  call.o.tensor.data = reinterpret_cast<void *>(uintptr_t(1) << 45); // far from the inputs
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
  // the workspace is there
  ASSERT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
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
  cuGraphExecDestroy(executable);
  cuGraphDestroy(graph);
  cuStreamDestroy_v2(stream);
}

TEST_F(Cuda, a_workspace_cannot_grow_during_a_capture) {
  makeCurrent(fake_driver_new_context(0));
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  CUstream stream;
  cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  GpuCall call(2, 2, 5);
  EXPECT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_INVALID_ARGUMENT);
  EXPECT_TRUE(says("workspace: expected a workspace from the caller, or a run of this size"))
      << message();
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 0);
  // With one of the caller's it can be captured at once.
  alignas(256) char workspace[4096];
  call.args.workspace = workspace;
  call.args.workspace_size = sizeof workspace;
  EXPECT_EQ(nysjit_run(program, &call.args, stream), NYSJIT_OK) << message();
  EXPECT_EQ(fake_driver_calls("cuMemAlloc"), 0);
  cuStreamDestroy_v2(stream);
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

} // namespace
} // namespace nysjit
