// The floating-point environment in which this library computes: round to nearest, subnormal
// numbers kept, no exception trapped. A host may have set another one on any of its threads, and
// may look at the exceptions it raised, so the library computes within one of these objects, which
// gives the thread back its own environment at the end, sticky flags included.
#pragma once
#include <cfenv>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace nysjit {

/// All of it. Some hundred nanoseconds: for what reads or writes numbers as text, calls the
/// mathematical library or hashes (libstdc++'s tables grow by x87 arithmetic).
class DefaultFloatEnvironment {
public:
  DefaultFloatEnvironment() noexcept {
    fegetenv(&before);
    fesetenv(FE_DFL_ENV);
#if defined(__SSE__)
    _mm_setcsr(0x1f80); // FE_DFL_ENV of some C libraries leaves flush-to-zero on
#endif
  }
  ~DefaultFloatEnvironment() { fesetenv(&before); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment &) = delete;
  DefaultFloatEnvironment &operator=(const DefaultFloatEnvironment &) = delete;

private:
  std::fenv_t before;
};

/// As much of it as kernels and the calls between them look at: on x86 MXCSR, some ten nanoseconds.
class RunFloatEnvironment {
public:
  RunFloatEnvironment() noexcept { enter(); }
  ~RunFloatEnvironment() { leave(); }
  RunFloatEnvironment(const RunFloatEnvironment &) = delete;
  RunFloatEnvironment &operator=(const RunFloatEnvironment &) = delete;

  /// The thread's own again while this lives, for a call of the host's code within a run. What that
  /// changes is kept.
  class Pause {
  public:
    explicit Pause(RunFloatEnvironment *of) noexcept : paused(of) {
      if (paused)
        paused->leave();
    }
    ~Pause() {
      if (paused)
        paused->enter();
    }
    Pause(const Pause &) = delete;
    Pause &operator=(const Pause &) = delete;

  private:
    RunFloatEnvironment *paused;
  };

private:
#if defined(__SSE__)
  void enter() noexcept {
    before = _mm_getcsr();
    _mm_setcsr(0x1f80);
  }
  void leave() noexcept { _mm_setcsr(before); }
  unsigned before;
#else
  void enter() noexcept {
    fegetenv(&before);
    fesetenv(FE_DFL_ENV);
  }
  void leave() noexcept { fesetenv(&before); }
  std::fenv_t before;
#endif
};

} // namespace nysjit
