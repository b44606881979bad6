// The config that a program reports is one that it can be asked for with.
#include "runtime/api/context.h"
#include "tests/conformance/gpu.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

TEST(Config, TheOneInUseCanBeGivenBack) {
  const Gpu gpu(true);
  setenv("NYSJIT_PTX_EMULATOR", gpu.driver->library().c_str(), 1);
  ContextOptions options;
  options.cacheFolder = NYSJIT_BINARY_DIR "/test-cache";
  options.compiler = NYSJIT_BINARY_DIR "/bin/nysjit-compiler";
  options.device = DeviceKind::PtxEmulator;
  RuntimeContext context(options);
  for (const char *text :
       {R"({"layout": "exact_causal", "head_dim": 24})",
        R"({"layout": "causal", "head_dim": 24, "landmarks": 40, "segment_len": 5})",
        R"({"layout": "prefix_lm", "head_dim": 32, "landmarks": 40})",
        R"({"layout": "scan", "head_dim": 32, "landmarks": 16, )"
        R"("landmark_source": "learned"})"}) {
    const char *const target = "cuda:sm_80";
    SCOPED_TRACE(text);
    auto first = context.prepare(*parseKernelSpec(text), {}, *parseTarget(target));
    ASSERT_TRUE(first.ok()) << first.error().message;
    auto config = parseKernelConfig(first->program->configJson());
    ASSERT_TRUE(config.ok()) << config.error().message;
    auto second = context.prepare(*parseKernelSpec(text), *config, *parseTarget(target));
    ASSERT_TRUE(second.ok()) << second.error().message;
    EXPECT_EQ(first->program->ptx(), second->program->ptx());
    EXPECT_EQ(planToJson(first->program->plan()), planToJson(second->program->plan()));
  }
}

} // namespace
