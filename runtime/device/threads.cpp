// The pool is pthreadpool's. Its hand-over of work uses futexes that the thread sanitizer cannot
// see, so each hand-over is repeated here in two atomics; they cost nothing beside the wake-up
// itself.
#include "runtime/device/threads.h"

#include <mutex>
#include <new>
#include <pthreadpool.h>
#include <sched.h>
#include <unistd.h>

namespace nysjit {

size_t availableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<size_t>(CPU_COUNT(&set));
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<size_t>(online) : 1;
}

/// One process's pool. After fork() the threads are gone and the mutex may be held by a thread that
/// no longer exists, so the child leaves all of it alone and makes another.
struct Threads::Pool {
  explicit Pool(size_t count) : owner(getpid()), threads(pthreadpool_create(count)) {}
  ~Pool() {
    if (threads && owner == getpid())
      pthreadpool_destroy(threads);
  }

  pid_t owner;
  pthreadpool_t threads;
  std::mutex mutex; // held while a launch runs; guards task and context
  ThreadTask task = nullptr;
  void *context = nullptr;
  std::atomic<size_t> handedOut{0};
  std::atomic<size_t> handedBack{0};

  static void share(void *self, size_t index) {
    Pool *pool = static_cast<Pool *>(self);
    pool->handedOut.load(std::memory_order_acquire);
    pool->task(pool->context, index);
    pool->handedBack.fetch_add(1, std::memory_order_release);
  }
};

Threads::Threads(size_t count, HostParallelFor parallelFor, void *context)
    : threadCount(count ? count : availableCpus()), hostFor(parallelFor), hostContext(context) {}

Threads::~Threads() { delete pool.load(); }

Threads::Pool *Threads::poolOfThisProcess() {
  Pool *current = pool.load(std::memory_order_acquire);
  if (current && current->owner == getpid())
    return current;
  Pool *made = new (std::nothrow) Pool(threadCount);
  if (!made)
    return nullptr;
  if (pool.compare_exchange_strong(current, made, std::memory_order_acq_rel))
    // what was there belongs to the parent process; its memory is not worth the risk of freeing
    return made;
  delete made;
  return current;
}

void Threads::run(ThreadTask task, void *context, size_t shares, bool isLast) {
  if (shares == 0)
    return;
  if (shares == 1)
    return task(context, 0);
  if (hostFor)
    return hostFor(hostContext, task, context, shares);
  Pool *p = poolOfThisProcess();
  if (!p || !p->threads) { // no memory or threads for a pool: the calling thread does it all
    for (size_t i = 0; i < shares; ++i)
      task(context, i);
    return;
  }
  const std::lock_guard lock(p->mutex);
  p->task = task;
  p->context = context;
  p->handedOut.fetch_add(1, std::memory_order_release);
  pthreadpool_parallelize_1d(p->threads, &Pool::share, p, shares,
                             isLast ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0);
  p->handedBack.load(std::memory_order_acquire);
}

} // namespace nysjit
