// Device "cuda" through the C API, on a fake driver.
#pragma once
#include "tests/runtime/fake_driver.h"
#include "tests/runtime/fake_program.h"

#include <sys/stat.h>

namespace nysjit {

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
  void openDevice(const char *device, const char *compiler = FAKE_WORKER) {
    nysjit_program_release(program);
    program = nullptr;
    nysjit_context_destroy(context);
    context = nullptr;
    nysjit_context_options options = {};
    options.size = sizeof options;
    const std::string cache = folder / "cache";
    options.cache_dir = cache.c_str();
    options.compiler = compiler;
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

  ScopedSetting driver{"NYSJIT_CUDA_DRIVER", FAKE_DRIVER};
  ScopedSetting emulator{"NYSJIT_PTX_EMULATOR", FAKE_DRIVER};
  ScopedSetting noTool{"NYSJIT_PTXAS", "none"};
};

} // namespace nysjit
