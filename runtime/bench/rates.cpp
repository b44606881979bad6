// Threads that begin together and do the same amount each. Of several takes the best counts: what
// others on the machine take away is not the roof's fault.
#include "runtime/bench/rates.h"
#include "runtime/api/stopwatch.h"
#include "runtime/device/cpu_identity.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <immintrin.h>
#include <latch>
#include <memory>
#include <thread>
#include <unistd.h>
#include <vector>

namespace nysjit::bench {

namespace {

constexpr int takes = 5;
// Enough to hide the latency of one (4 cycles, two at once), few enough for 16 registers.
constexpr int accumulators = 12;
constexpr int64_t turns = 1 << 20;

/// Each sum tends to 1: no number grows or vanishes. None begins there, where it would be a
/// constant.
__attribute__((target("avx512f"))) float multiplyAdd512() {
  __m512 sums[accumulators];
  for (int i = 0; i < accumulators; ++i)
    sums[i] = _mm512_set1_ps(float(i + 2));
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int64_t turn = 0; turn < turns; ++turn)
    for (__m512 &sum : sums)
      sum = _mm512_fmadd_ps(sum, half, half);
  for (int i = 1; i < accumulators; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_reduce_add_ps(sums[0]);
}

__attribute__((target("avx2,fma"))) float multiplyAdd256() {
  __m256 sums[accumulators];
  for (int i = 0; i < accumulators; ++i)
    sums[i] = _mm256_set1_ps(float(i + 2));
  const __m256 half = _mm256_set1_ps(0.5f);
  for (int64_t turn = 0; turn < turns; ++turn)
    for (__m256 &sum : sums)
      sum = _mm256_fmadd_ps(sum, half, half);
  for (int i = 1; i < accumulators; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

/// The time, in ms, that all threads take for their shares; the calling one has the first.
double msOf(size_t threads, const std::function<void(size_t thread)> &share) {
  std::latch ready{std::ptrdiff_t(threads)};
  std::vector<std::jthread> others;
  for (size_t i = 1; i < threads; ++i)
    others.emplace_back([&, i] {
      ready.arrive_and_wait();
      share(i);
    });
  ready.arrive_and_wait();
  const Stopwatch watch;
  share(0);
  others.clear(); // joins
  return std::max(watch.ms(), 1e-6);
}

double leastMs(size_t threads, const std::function<void(size_t thread)> &share) {
  double least = msOf(threads, share);
  for (int take = 1; take < takes; ++take)
    least = std::min(least, msOf(threads, share));
  return least;
}

double productRate(int vectorBits, size_t threads) {
  std::vector<float> results(threads); // so that they are computed
  const auto multiplyAdd = vectorBits == 512 ? &multiplyAdd512 : &multiplyAdd256;
  const double ms = leastMs(threads, [&](size_t thread) {
    *static_cast<volatile float *>(&results[thread]) = multiplyAdd();
  });
  return 2.0 * double(vectorBits) / 32 * accumulators * double(turns) * double(threads) / ms / 1e6;
}

/// Of both buffers together twice the last cache, as far as it is known.
size_t bufferBytes() {
  constexpr size_t least = size_t(32) << 20;
  constexpr size_t most = size_t(256) << 20;
  return std::clamp(size_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L)), least, most);
}

struct Free {
  void operator()(char *bytes) const { std::free(bytes); }
};

Result<double> copyRate(size_t threads) {
  const size_t bytes = bufferBytes();
  const std::unique_ptr<char, Free> from(static_cast<char *>(std::malloc(bytes)));
  const std::unique_ptr<char, Free> to(static_cast<char *>(std::malloc(bytes)));
  if (!from || !to)
    return Error::plain(ErrorKind::Io, "memory",
                        "memory: the system has not enough to measure how fast it copies");
  const size_t each = bytes / threads;
  // Memory that was never written is one page of zeros. The first take does so with `to`.
  msOf(threads, [&](size_t thread) { std::memset(from.get() + thread * each, 1, each); });
  const double ms = leastMs(threads, [&](size_t thread) {
    std::memcpy(to.get() + thread * each, from.get() + thread * each, each);
  });
  return 2.0 * double(each * threads) / ms / 1e6;
}

} // namespace

Rates best(const Rates &a, const Rates &b) {
  return {std::max(a.copyGbS, b.copyGbS), std::max(a.productGflopS, b.productGflopS),
          std::max(a.vectorBits, b.vectorBits)};
}

Result<Rates> takeCpuRates(const Target &target, size_t threads) {
  if (target.isCuda())
    return Error::mismatch(ErrorKind::Unavailable, "target", "a target of the CPU",
                           targetName(target));
  const Target widest{.level = CpuLevel::V4};
  const bool isWide = target.level == CpuLevel::V4 || (target.level == CpuLevel::Native &&
                                                       checkTargetRunsOn(widest, hostCpu()).ok());
  const int vectorBits = isWide ? 512 : 256;
  Result<double> copy = copyRate(threads);
  NYSJIT_RETURN_IF_ERROR(copy);
  return Rates{*copy, productRate(vectorBits, threads), vectorBits};
}

} // namespace nysjit::bench
