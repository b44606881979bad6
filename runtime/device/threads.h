// Threads: who runs the shares of a launch. The host's own parallel-for if it gave one, else a pool
// that starts with the first launch that needs it. Survives fork(): the child starts a pool of its
// own.
#pragma once
#include <atomic>
#include <cstddef>

namespace nysjit {

using ThreadTask = void (*)(void *context, size_t index);
/// Calls task(taskContext, i) for each i in [0, count) and returns when all have returned.
using HostParallelFor = void (*)(void *context, ThreadTask task, void *taskContext, size_t count);

/// CPUs that this process may run on, at least 1.
size_t availableCpus();

class Threads {
public:
  /// `count` 0: one for each available CPU. Starts nothing yet.
  explicit Threads(size_t count = 0, HostParallelFor hostFor = nullptr,
                   void *hostContext = nullptr);
  ~Threads();
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

  size_t count() const { return threadCount; }
  /// Calls task(context, i) for i in [0, shares), shares <= count(). One share runs on the calling
  /// thread, and needs no pool. With `isLast` the pool's threads go to sleep at once instead of
  /// waiting for the next launch.
  void run(ThreadTask task, void *context, size_t shares, bool isLast);

private:
  struct Pool;
  Pool *poolOfThisProcess();

  size_t threadCount;
  HostParallelFor hostFor;
  void *hostContext;
  std::atomic<Pool *> pool{nullptr};
};

} // namespace nysjit
