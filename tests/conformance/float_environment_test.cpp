// Results are the same, bit for bit, whatever floating-point environment the host has set, on any
// number of threads, its own or the library's; and the host finds its environment as it left it.
#include "tests/conformance/conformance.h"
#include "tests/conformance/specs.h"

#include <cfenv>
#include <thread>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

constexpr unsigned flushToZero = 0x8000;
constexpr unsigned subnormalInputsAreZero = 0x40;

/// What a host may have set.
struct HostSetting {
  const char *name;
  int rounding;
  int trapped;
  unsigned flags; // of MXCSR
};
const HostSetting hostSettings[] = {
    {"upward", FE_UPWARD, 0, 0},
    {"toward zero, flush to zero", FE_TOWARDZERO, 0, flushToZero | subnormalInputsAreZero},
    {"all trapped", FE_TONEAREST, FE_ALL_EXCEPT, 0},
};

/// The host's setting while it lives; at the end it must be as it was left, sticky flags included.
class ScopedHostSetting {
public:
  explicit ScopedHostSetting(const HostSetting &setting) : given(setting) {
    std::fesetround(given.rounding);
#if defined(__SSE__)
    _mm_setcsr(_mm_getcsr() | given.flags);
#endif
    std::feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(given.trapped);
  }
  ~ScopedHostSetting() {
    const int rounding = std::fegetround();
    const int trapped = fegetexcept();
    const int raised = std::fetestexcept(FE_ALL_EXCEPT);
#if defined(__SSE__)
    const unsigned flags = _mm_getcsr() & (flushToZero | subnormalInputsAreZero);
#else
    const unsigned flags = given.flags;
#endif
    std::fesetenv(FE_DFL_ENV);
#if defined(__SSE__)
    _mm_setcsr(0x1f80);
#endif
    EXPECT_EQ(rounding, given.rounding);
    EXPECT_EQ(trapped, given.trapped);
    EXPECT_EQ(raised, 0);
    EXPECT_EQ(flags, given.flags);
  }
  ScopedHostSetting(const ScopedHostSetting &) = delete;

private:
  const HostSetting &given;
};

/// The output's bits of a program that is prepared and run under the setting; null: the default.
std::vector<char> bitsUnder(const HostSetting *setting, Device &device, const char *spec,
                            const Inputs &in) {
  Arguments arguments(device.gpu.get(), in, "float32", "float32");
  nysjit_program *program = nullptr;
  nysjit_launch_timing timings[16];
  arguments.args.timings = timings;
  arguments.args.timing_capacity = 16;
  nysjit_status prepared;
  nysjit_status ran;
  {
    std::optional<ScopedHostSetting> scope;
    if (setting)
      scope.emplace(*setting);
    prepared = nysjit_prepare(device.context, spec, nullptr, device.target.c_str(), &program);
    ran = nysjit_run(program, &arguments.args, nullptr);
    arguments.args.scale = nullptr; // the default one, computed by nysjit_prepare
    if (ran == NYSJIT_OK)
      ran = nysjit_run(program, &arguments.args, nullptr);
  }
  EXPECT_EQ(prepared, NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(ran, NYSJIT_OK) << nysjit_last_error();
  nysjit_program_release(program);
  return arguments.fetch().bytes;
}

class FloatEnvironment : public testing::TestWithParam<std::string> {};

TEST_P(FloatEnvironment, TheHostsDoesNotMatterAndIsLeftAlone) {
  Seeded random;
  const bool isCpu = GetParam().starts_with("cpu");
  for (const int64_t length :
       isCpu ? std::vector<int64_t>{1, 2, 3, 17, 75, 300} : std::vector<int64_t>{1, 40})
    for (const char *spec :
         {causalSpec, exactSpec, streamingSpec, segmentSpec, bidirectionalSpec}) {
      Inputs in = randomInputs(random.generator, 1, 2, 1, length, 32);
      for (size_t i = 0; i < in.v.size(); i += 3)
        in.v[i] *= 1e-38f; // subnormal
      std::vector<char> expected;
      for (const uint32_t threads : {1u, 2u, 8u}) {
        if (!isCpu && threads > 1)
          continue;
        Device before(GetParam(), threads);
        if (expected.empty())
          expected = bitsUnder(nullptr, before, spec, in);
        EXPECT_TRUE(bitsUnder(nullptr, before, spec, in) == expected) << threads;
        for (const HostSetting &setting : hostSettings) {
          SCOPED_TRACE(std::string(spec) + " " + setting.name + ", threads " +
                       std::to_string(threads) + ", n " + std::to_string(length));
          // Set when the threads are there, and before they are.
          EXPECT_TRUE(bitsUnder(&setting, before, spec, in) == expected);
          Device after(GetParam(), threads);
          EXPECT_TRUE(bitsUnder(&setting, after, spec, in) == expected);
        }
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Places, FloatEnvironment,
                         testing::Values("cpu:x86-64-v3", "cpu:native",
                                         "ptx-emulator eager cuda:sm_80"),
                         [](const auto &place) { return testName(place.param); });

/// Runs tasks on threads whose environment is the caller's.
struct UpwardHost {
  static void parallelFor(void *isUpward, nysjit_task task, void *context, size_t count) {
    *static_cast<bool *>(isUpward) &= std::fegetround() == FE_UPWARD;
    std::vector<std::thread> threads;
    for (size_t i = 1; i < count; ++i)
      threads.emplace_back(task, context, i); // inherits
    task(context, 0);
    for (std::thread &thread : threads)
      thread.join();
    *static_cast<bool *>(isUpward) &= std::fegetround() == FE_UPWARD;
  }
};

TEST(FloatEnvironment, AHostsThreadsComputeInTheDefaultOneAndItsOwnCodeInItsOwn) {
  Seeded random;
  const Inputs in = randomInputs(random.generator, 1, 4, 2, 100, 32);
  Device device("cpu:native", 1);
  const std::vector<char> expected = bitsUnder(nullptr, device, causalSpec, in);
  bool isUpward = true;
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.threads = 3;
  options.cache_dir = NYSJIT_BINARY_DIR "/test-cache";
  options.compiler = NYSJIT_BINARY_DIR "/bin/nysjit-compiler";
  options.parallel_for = &UpwardHost::parallelFor;
  options.parallel_for_context = &isUpward;
  nysjit_context_destroy(device.context);
  ASSERT_EQ(nysjit_context_create(&options, &device.context), NYSJIT_OK);
  EXPECT_TRUE(bitsUnder(&hostSettings[0], device, causalSpec, in) == expected);
  EXPECT_TRUE(isUpward);
}

} // namespace
