// Threads: who runs the launches of a context's programs. The host's own parallel-for if it gave
// one, else the calling thread and a pool that starts with the first launch that needs it. Survives
// fork(): the child starts a pool of its own.
#pragma once
#include "runtime/device/thread_pool.h"

#include <atomic>
#include <cstddef>

namespace nysjit {

class RunFloatEnvironment;

using HostTask = void (*)(void *context, size_t index);
/// Calls task(taskContext, i) for each i in [0, count) and returns when all have returned.
using HostParallelFor = void (*)(void *context, HostTask task, void *taskContext, size_t count);

class Threads {
public:
  /// `count` 0: one for each available CPU. Starts nothing yet and looks at nothing.
  explicit Threads(size_t count = 0, HostParallelFor hostFor = nullptr,
                   void *hostContext = nullptr);
  /// Ends the pool. No run may be in progress.
  ~Threads();
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

  /// The most threads that take part in a launch, the calling one included.
  size_t count() noexcept;

private:
  friend class ThreadTeam;
  ThreadPool *poolOfThisProcess() noexcept;

  std::atomic<size_t> threadCount; // 0: not known yet
  HostParallelFor hostFor;
  void *hostContext;
  std::atomic<ThreadPool *> pool{nullptr};
};

/// The threads of one run, for its launches one after the other. Of one thread, which makes,
/// uses and destroys it.
class ThreadTeam {
public:
  /// `scratchBytes`: the most that a launch takes. `environment` is what the run computes in; the
  /// host's parallel-for is called outside it. `given`: scratch for Threads::count() threads.
  ThreadTeam(Threads &threads, size_t scratchBytes, RunFloatEnvironment *environment,
             RunScratch given = {}) noexcept;
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam &) = delete;
  ThreadTeam &operator=(const ThreadTeam &) = delete;

  /// False if the calling thread has no memory for its scratch. (The host's threads show only in a
  /// launch what they have.)
  bool hasScratch() const { return scratch || hostFor; }
  /// Calls share(context, scratch) on up to `most` threads at once, and returns when all have
  /// returned. Whichever come must do all the work between them. With the library's threads the
  /// calling one is always among them; with the host's, those that have memory for the scratch.
  void launch(ThreadShare share, void *context, size_t most, bool isLast);

private:
  struct HostLaunch;
  static void runHostTask(void *context, size_t index);

  Threads &threads;
  HostParallelFor hostFor;
  size_t scratchBytes;
  RunFloatEnvironment *environment;
  RunScratch given;
  void *scratch = nullptr;
  ThreadPool *pool = nullptr;
  ThreadPool::Place *place = nullptr; // null: the calling thread alone
};

} // namespace nysjit
