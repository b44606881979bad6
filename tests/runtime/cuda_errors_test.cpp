// Every failure a driver has, and which devices, targets and images go together.
#include "tests/runtime/cuda_fixture.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace nysjit {
namespace {

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
  const std::string cleanup =
      " cuCtxPopCurrent cuEventDestroy cuModuleUnload cuMemFree cuDevicePrimaryCtxRelease ";
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
      EXPECT_TRUE(says(name) && says("CUDA_ERROR_OUT_OF_MEMORY (2): as the test ordered"))
          << name << message();
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
  EXPECT_EQ(message(),
            "cuda:sm_90: expected a GPU of compute capability 9.0 or more, found Fake GPU of 8.0");
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
  EXPECT_EQ(std::string(static_cast<const char *>(info().object), info().object_size),
            "\x7f"
            "ELF, a cubin");
  // what the worker was told
  EXPECT_EQ(nlohmann::json::parse(info().kernels_json)[0]["assembler"], folder / "ptxas");
  expectRight();
  EXPECT_EQ(fake_driver_calls("cuModuleLoadDataEx"), 1);
}

TEST_F(Cuda, ptx_the_driver_refuses_is_an_error_with_its_log) {
  const ScopedSetting mode("FAKE_WORKER_MODE", "bad-ptx");
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  GpuCall call(1, 1, 3);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_COMPILE_FAILED);
  EXPECT_TRUE(says("cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218)") &&
              says("its log: line 1: no .version"))
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

TEST_F(Cuda, without_compiler_and_assembler_those_of_the_one_who_filled_the_disk_are_as_good) {
  std::string key;
  {
    writeTool("ptxas");
    const ScopedSetting tool("NYSJIT_PTXAS", folder / "ptxas");
    openDevice("cuda");
    ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
    key = info().key;
    openDevice("cpu");
    ASSERT_EQ(prepareFor(), NYSJIT_OK) << message(); // a CPU's program says nothing of ptxas
  }
  openDevice("cuda", "/absent/compiler");
  setenv("NYSJIT_PTXAS", "none", 1);
  ASSERT_EQ(prepareFor(), NYSJIT_OK) << message();
  EXPECT_STREQ(info().cache, "disk");
  EXPECT_EQ(info().key, key);
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
