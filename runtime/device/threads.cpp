// The pool is made by the first run that can use it, and by each process once. Runs that come while
// its threads are being started do without.
#include "runtime/device/threads.h"
#include "runtime/base/float_environment.h"
#include "runtime/device/cpus.h"
#include "runtime/device/memory.h"

#include <algorithm>
#include <new>

namespace nysjit {

Threads::Threads(size_t count, HostParallelFor parallelFor, void *context)
    : threadCount(count), hostFor(parallelFor), hostContext(context) {}

Threads::~Threads() { delete pool.load(); }

size_t Threads::count() noexcept {
  size_t known = threadCount.load(std::memory_order_relaxed);
  if (known == 0) {
    known = availableCpus();
    threadCount.store(known, std::memory_order_relaxed);
  }
  return known;
}

ThreadPool *Threads::poolOfThisProcess() noexcept {
  ThreadPool *current = pool.load(std::memory_order_acquire);
  if (current && current->isOfThisProcess())
    return current;
  ThreadPool *made = new (std::nothrow) ThreadPool;
  if (!made)
    return nullptr;
  if (!pool.compare_exchange_strong(current, made, std::memory_order_acq_rel)) {
    delete made;
    return current;
  }
  // What was there belongs to the parent process; its memory is not worth the risk of freeing.
  // Threads run where the calling one may: more of them than CPUs could only wait for each other.
  made->start(std::min(count(), affinityCpus()) - 1);
  return made;
}

ThreadTeam::ThreadTeam(Threads &of, size_t bytes, RunFloatEnvironment *within,
                       RunScratch hosts) noexcept
    : threads(of), hostFor(of.hostFor), scratchBytes(bytes), environment(within), given(hosts) {
  if (hostFor)
    return;
  scratch = given.first ? given.of(0) : threadScratch(scratchBytes);
}

ThreadTeam::~ThreadTeam() {
  if (place)
    pool->leave(*place);
}

/// A launch on the host's threads, each of which has a floating-point environment of its own.
struct ThreadTeam::HostLaunch {
  ThreadShare share;
  void *context;
  size_t scratchBytes;
  RunScratch given;
};

void ThreadTeam::runHostTask(void *context, size_t index) {
  const HostLaunch &launch = *static_cast<const HostLaunch *>(context);
  const RunFloatEnvironment environment;
  if (void *scratch =
          launch.given.first ? launch.given.of(index) : threadScratch(launch.scratchBytes))
    launch.share(launch.context, scratch);
}

void ThreadTeam::launch(ThreadShare share, void *context, size_t most, bool isLast) {
  if (hostFor) {
    HostLaunch launch{share, context, scratchBytes, given};
    const size_t tasks = std::min(most, threads.count());
    if (tasks == 1)
      return runHostTask(&launch, 0);
    const RunFloatEnvironment::Pause pause(environment);
    return hostFor(threads.hostContext, &runHostTask, &launch, tasks);
  }
  if (!place && most > 1 && threads.count() > 1) {
    pool = threads.poolOfThisProcess();
    place = pool ? pool->enter(scratchBytes, given) : nullptr;
  }
  if (!place)
    return share(context, scratch);
  pool->launch(*place, share, context, scratch, std::min(most, threads.count()) - 1, isLast);
}

} // namespace nysjit
