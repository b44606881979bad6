// The environment to compute in, and the thread's own back.
#include "runtime/base/float_environment.h"

#include <cfenv>
#include <cmath>
#include <cstdio>
#include <gtest/gtest.h>

namespace nysjit {
namespace {

/// An environment unlike the default one in every way that fenv.h has, the default one at the end.
struct Unusual {
  Unusual() {
    std::fesetround(FE_UPWARD);
    feenableexcept(FE_INVALID | FE_DIVBYZERO);
    std::feraiseexcept(FE_UNDERFLOW);
#if defined(__SSE__)
    _mm_setcsr(_mm_getcsr() | 0x8040); // flush to zero, subnormal inputs are zero
#endif
  }
  ~Unusual() { std::fesetenv(FE_DFL_ENV); }
};

template <typename Environment> void expectDefaultWithinAndUnusualAfter() {
  const Unusual unusual;
  {
    const Environment environment;
    volatile float least = 1e-38f;
    volatile float one = 1;
    volatile float zero = 0;
    EXPECT_GT(least / 4, 0.0f); // subnormal
    EXPECT_EQ(one + 1e-30f, 1.0f);
    EXPECT_TRUE(zero / zero != 0.0f); // no SIGFPE
    EXPECT_EQ(one / 0.0f, HUGE_VALF);
  }
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  EXPECT_EQ(fegetexcept(), FE_INVALID | FE_DIVBYZERO);
  EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), FE_UNDERFLOW);
#if defined(__SSE__)
  EXPECT_EQ(_mm_getcsr() & 0x8040, 0x8040u);
#endif
}

TEST(FloatEnvironment, a_call_computes_in_the_default_one_and_restores) {
  expectDefaultWithinAndUnusualAfter<DefaultFloatEnvironment>();
}

TEST(FloatEnvironment, a_run_computes_in_the_default_one_and_restores) {
  expectDefaultWithinAndUnusualAfter<RunFloatEnvironment>();
}

TEST(FloatEnvironment, numbers_are_printed_and_hashed_in_the_default_one) {
  const Unusual unusual;
  feenableexcept(FE_INEXACT);
  const DefaultFloatEnvironment environment;
  char text[32];
  volatile double tenth = 0.15; // a little less
  std::snprintf(text, sizeof text, "%.1f", tenth);
  EXPECT_STREQ(text, "0.1"); // printf rounds as x87's control word says
  volatile long double three = 3;
  EXPECT_LT(1 / three, 1); // an inexact x87 quotient, no SIGFPE
}

TEST(FloatEnvironment, a_pause_is_the_threads_own_and_keeps_what_it_changes) {
  const Unusual unusual;
  {
    RunFloatEnvironment environment;
    {
      const RunFloatEnvironment::Pause pause(&environment);
      EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), FE_UNDERFLOW);
      volatile float one = 1;
      EXPECT_GT(one + 1e-30f, 1.0f);
    }
    volatile float one = 1;
    EXPECT_EQ(one + 1e-30f, 1.0f);
  }
  EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), FE_UNDERFLOW | FE_INEXACT);
}

} // namespace
} // namespace nysjit
