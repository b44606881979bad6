// The work is cut into shares that the threads of a pool take, as a program's cells are. Many short
// takes, of which the best counts: what others on the machine take away is not the roof's fault.
#include "runtime/bench/rates.h"
#include "runtime/api/stopwatch.h"
#include "runtime/base/float_environment.h"
#include "runtime/device/cpu_identity.h"
#include "runtime/device/cpus.h"
#include "runtime/device/threads.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <immintrin.h>
#include <limits>
#include <memory>
#include <numeric>
#include <unistd.h>
#include <vector>

namespace nysjit::bench {

namespace {

constexpr size_t takes = 32;
// Enough to hide the latency of one (4 cycles, two at once), few enough for 16 registers.
constexpr int accumulators = 12;
constexpr int64_t turns = 1 << 16; // of a share
constexpr size_t sharesOfCpu = 8;

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

/// Threads that measure.
class Team {
public:
  explicit Team(size_t count) : threads(count), team(threads, 0, &environment), count(count) {}
  size_t shares() const { return sharesOf(count, availableCpus()); }
  /// The time, in ms, in which all shares are done.
  double msOf(const std::function<void(size_t share)> &work) {
    Launch launch{work, shares()};
    const Stopwatch watch;
    team.launch(&Launch::run, &launch, count, /*isLast=*/false);
    return std::max(watch.ms(), 1e-6);
  }

private:
  struct Launch {
    const std::function<void(size_t share)> &work;
    size_t shares;
    std::atomic<size_t> next{0};
    static void run(void *self, void *) {
      Launch &launch = *static_cast<Launch *>(self);
      for (size_t share = launch.next++; share < launch.shares; share = launch.next++)
        launch.work(share);
    }
  };
  RunFloatEnvironment environment;
  Threads threads;
  ThreadTeam team;
  size_t count;
};

double cpuMsOfThread() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e3 + double(time.tv_nsec) / 1e6;
}

/// By the threads' time on their CPUs, which nothing but the CPU itself makes longer: beside other
/// processes two threads often have one CPU between them. (What a thread copies depends on what the
/// others do meanwhile: copies are timed by the wall.)
double productRate(int vectorBits, size_t threads) {
  Team team(threads);
  std::vector<float> results(team.shares()); // so that they are computed
  std::vector<double> cpuMs(team.shares());
  const auto multiplyAdd = vectorBits == 512 ? &multiplyAdd512 : &multiplyAdd256;
  double least = std::numeric_limits<double>::infinity(); // of all shares together
  for (size_t take = 0; take < takes; ++take) {
    team.msOf([&](size_t share) {
      const double start = cpuMsOfThread();
      *static_cast<volatile float *>(&results[share]) = multiplyAdd();
      cpuMs[share] = cpuMsOfThread() - start;
    });
    least = std::min(least, std::accumulate(cpuMs.begin(), cpuMs.end(), 0.0));
  }
  const double flops = 2.0 * vectorBits / 32 * accumulators * double(turns) * double(team.shares());
  return flops / std::max(least, 1e-6) / 1e6 * double(std::min(threads, availableCpus()));
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
  Team team(threads);
  // A take copies a part of the buffers, and comes back to it when the others have been through the
  // caches. Memory that was never written is one page of zeros; the first takes do so with `to`.
  constexpr size_t parts = 8;
  const size_t each = bytes / (parts * team.shares());
  std::memset(from.get(), 1, bytes);
  double least = std::numeric_limits<double>::infinity();
  for (size_t take = 0; take < takes; ++take)
    least = std::min(least, team.msOf([&](size_t share) {
      const size_t start = (take % parts * team.shares() + share) * each;
      std::memcpy(to.get() + start, from.get() + start, each);
    }));
  return 2.0 * double(each * team.shares()) / least / 1e6;
}

} // namespace

size_t sharesOf(size_t threads, size_t cpus) {
  return std::clamp<size_t>(threads, 1, std::max<size_t>(cpus, 1)) * sharesOfCpu;
}

Rates best(const Rates &a, const Rates &b) {
  return {std::max(a.copyGbS, b.copyGbS), std::max(a.productGflopS, b.productGflopS),
          std::max(a.vectorBits, b.vectorBits)};
}

Result<Rates> takeCpuRates(const Target &target, size_t threads) {
  if (target.isCuda())
    return Error::mismatch(ErrorKind::Unavailable, "target", "a target of the CPU",
                           targetName(target));
  const auto runs = [](CpuLevel level) {
    return checkTargetRunsOn(Target{.level = level}, hostCpu());
  };
  const bool isWide =
      target.level == CpuLevel::V4 || (target.level == CpuLevel::Native && runs(CpuLevel::V4).ok());
  NYSJIT_RETURN_IF_ERROR(runs(isWide ? CpuLevel::V4 : CpuLevel::V3));
  const int vectorBits = isWide ? 512 : 256;
  Result<double> copy = copyRate(threads);
  NYSJIT_RETURN_IF_ERROR(copy);
  return Rates{*copy, productRate(vectorBits, threads), vectorBits};
}

} // namespace nysjit::bench
