// The hand-over. A place's `open` is the number of shares that nobody has begun; a thread begins
// one by taking 1 from it, which orders what it reads after what the launch wrote. At the end the
// calling thread takes what is left, and waits until `done` says that the others have returned.
// Everything goes through these atomics; the futexes below only put threads to sleep.
//
// Who waits spins for some ten microseconds, as long as a launch or the hand-over between two
// takes, and then sleeps: a CPU that has others to run is not kept from them.
#include "runtime/device/thread_pool.h"
#include "runtime/base/float_environment.h"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <link.h>
#include <linux/futex.h>
#include <new>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace nysjit {

namespace {

constexpr int spins = 1500;

void pauseOnce() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static_assert(sizeof(std::atomic<uint32_t>) == 4, "a futex is 4 bytes");

void sleepWhile(std::atomic<uint32_t> &word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, value, nullptr,
          nullptr, 0);
}

void wakeSleepers(std::atomic<uint32_t> &word, size_t most) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE,
          most > INT_MAX ? INT_MAX : static_cast<int>(most), nullptr, nullptr, 0);
}

/// Thread-local variables of all libraries, which glibc takes from a thread's stack.
int addThreadLocals(dl_phdr_info *library, size_t, void *bytes) {
  for (int i = 0; i < library->dlpi_phnum; ++i)
    if (library->dlpi_phdr[i].p_type == PT_TLS)
      *static_cast<size_t *>(bytes) +=
          library->dlpi_phdr[i].p_memsz + library->dlpi_phdr[i].p_align;
  return 0;
}

/// What kernels take is far less; what the host allows its own threads (RLIMIT_STACK) may be too
/// little, or gigabytes.
size_t stackBytes() {
  constexpr size_t ours = size_t(256) << 10;
  size_t threadLocals = 0;
  dl_iterate_phdr(&addThreadLocals, &threadLocals);
  const long page = sysconf(_SC_PAGESIZE);
  const size_t step = page > 0 ? static_cast<size_t>(page) : 4096;
  return (ours + threadLocals + step - 1) / step * step;
}

/// All but those that a thread's own instruction raises: blocked, these would end the process past
/// the host's handlers.
sigset_t hostsSignals() {
  sigset_t set;
  sigfillset(&set);
  for (const int raised : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
    sigdelset(&set, raised);
  return set;
}

} // namespace

ProcessMark::ProcessMark() noexcept : owner(getpid()) {
#if defined(MADV_WIPEONFORK)
  const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return;
  if (madvise(mapped, bytes, MADV_WIPEONFORK) != 0) {
    munmap(mapped, bytes);
    return;
  }
  *static_cast<unsigned char *>(mapped) = 1;
  page = static_cast<unsigned char *>(mapped);
#endif
}

ProcessMark::~ProcessMark() {
  if (page)
    munmap(const_cast<unsigned char *>(page), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

bool ProcessMark::isOurs() const noexcept { return page ? *page == 1 : owner == getpid(); }

struct alignas(64) ThreadPool::Place {
  std::atomic<bool> isTaken{false};
  std::atomic<bool> isLast{false};    // the run's last launch was posted
  std::atomic<bool> isAwaited{false}; // the calling thread sleeps on `done`
  std::atomic<uint32_t> open{0};
  std::atomic<uint32_t> done{0};
  // of the launch; written while no share is open or under way
  ThreadShare share = nullptr;
  void *context = nullptr;
  size_t scratchBytes = 0;
  RunScratch given;
};

/// Grown by putting a larger one before it: a thread may still be at work in the smaller one, for
/// another run.
struct ThreadPool::Scratch {
  AlignedMemory memory;
  void *block = nullptr;
  size_t bytes = 0;
  Scratch *smaller = nullptr;
};

struct ThreadPool::Thread {
  ThreadPool *pool = nullptr;
  size_t number = 0;
  pthread_t handle = {};
  std::atomic<Scratch *> scratch{nullptr};
};

ThreadPool::ThreadPool() noexcept = default;

ThreadPool::~ThreadPool() {
  if (isOfThisProcess()) {
    isEnding.store(true);
    wake(SIZE_MAX);
    for (size_t i = 0; i < count; ++i)
      pthread_join(threads[i].handle, nullptr);
  }
  for (size_t i = 0; i < count; ++i)
    for (Scratch *own = threads[i].scratch.load(); own;)
      delete std::exchange(own, own->smaller);
}

void ThreadPool::start(size_t most) noexcept {
  threads.reset(new (std::nothrow) Thread[most]);
  places.reset(new (std::nothrow) Place[placeCount]);
  pthread_attr_t attributes;
  if (!threads || !places || pthread_attr_init(&attributes) != 0)
    return;
  if (pthread_attr_setstacksize(&attributes, stackBytes()) == 0) {
    // A new thread has its maker's mask from its first instruction on.
    const sigset_t blocked = hostsSignals();
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    while (count < most && startThread(count, attributes))
      ++count;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  pthread_attr_destroy(&attributes);
  isStarted.store(true, std::memory_order_release);
}

bool ThreadPool::startThread(size_t number, const pthread_attr_t &attributes) noexcept {
  threads[number].pool = this;
  threads[number].number = number;
  return pthread_create(&threads[number].handle, &attributes, &enterThread, &threads[number]) == 0;
}

void *ThreadPool::enterThread(void *thread) {
  Thread &self = *static_cast<Thread *>(thread);
  char name[16];
  std::snprintf(name, sizeof name, "nysjit-%zu", self.number + 1);
  pthread_setname_np(pthread_self(), name);
  const DefaultFloatEnvironment environment; // a new thread has its maker's
  self.pool->work(self);
  return nullptr;
}

void ThreadPool::work(Thread &self) noexcept {
  while (!isEnding.load(std::memory_order_acquire))
    if (!takeShare(self))
      waitForShares();
}

bool ThreadPool::takeShare(Thread &self) noexcept {
  // The threads begin their search at different places, so that runs at once get some each.
  for (size_t i = 0; i < placeCount; ++i) {
    Place &place = places[(self.number + i) % placeCount];
    uint32_t open = place.open.load(std::memory_order_relaxed);
    while (open > 0 && !place.open.compare_exchange_weak(open, open - 1, std::memory_order_acquire))
      ;
    if (open == 0)
      continue;
    const Scratch *scratch = self.scratch.load(std::memory_order_acquire);
    if (place.given.first)
      place.share(place.context, place.given.of(self.number + 1));
    else if (scratch && scratch->bytes >= place.scratchBytes)
      place.share(place.context, scratch->block);
    place.done.fetch_add(1);
    if (place.isAwaited.load())
      wakeSleepers(place.done, 1);
    return true;
  }
  return false;
}

bool ThreadPool::hasOpenShares() const noexcept {
  for (size_t i = 0; i < placeCount; ++i)
    if (places[i].open.load() > 0)
      return true;
  return false;
}

void ThreadPool::waitForShares() noexcept {
  for (int i = 0; i < spins && runs.load(std::memory_order_relaxed) > 0; ++i) {
    if (hasOpenShares())
      return;
    pauseOnce();
  }
  const uint32_t call = calls.load();
  sleepers.fetch_add(1);
  // From here on who posts shares sees a sleeper; who posted them before is seen here.
  if (!hasOpenShares() && !isEnding.load())
    sleepWhile(calls, call);
  sleepers.fetch_sub(1);
}

void ThreadPool::wake(size_t most) noexcept {
  if (sleepers.load() == 0)
    return;
  calls.fetch_add(1);
  wakeSleepers(calls, most);
}

/// Scratch of all threads; false if memory lacks for some, which then take no part.
bool ThreadPool::reserveScratch(size_t bytes) noexcept {
  if (scratchBytes.load(std::memory_order_acquire) >= bytes)
    return true;
  const std::lock_guard lock(growth);
  for (size_t i = 0; i < count; ++i) {
    Scratch *own = threads[i].scratch.load(std::memory_order_relaxed);
    if (own && own->bytes >= bytes)
      continue;
    std::unique_ptr<Scratch> grown(new (std::nothrow) Scratch);
    if (!grown || !(grown->block = grown->memory.reserve(bytes)))
      return false;
    grown->bytes = bytes;
    grown->smaller = own;
    threads[i].scratch.store(grown.release(), std::memory_order_release);
  }
  scratchBytes.store(std::max(bytes, scratchBytes.load()), std::memory_order_release);
  return true;
}

ThreadPool::Place *ThreadPool::enter(size_t bytes, RunScratch given) noexcept {
  if (size() == 0)
    return nullptr;
  bytes = std::max(bytes, memoryAlignment); // no thread is without, so that all take part
  for (size_t i = 0; i < placeCount; ++i) {
    Place &place = places[i];
    if (place.isTaken.load(std::memory_order_relaxed) || place.isTaken.exchange(true))
      continue;
    if (!given.first)
      reserveScratch(bytes);
    place.scratchBytes = bytes;
    place.given = given;
    place.isLast.store(false, std::memory_order_relaxed);
    runs.fetch_add(1, std::memory_order_relaxed);
    return &place;
  }
  return nullptr;
}

void ThreadPool::launch(Place &place, ThreadShare share, void *context, void *ownScratch,
                        size_t others, bool isLast) noexcept {
  if (isLast && !place.isLast.exchange(true, std::memory_order_relaxed))
    runs.fetch_sub(1, std::memory_order_relaxed);
  const uint32_t shares = static_cast<uint32_t>(std::min(others, count));
  place.share = share;
  place.context = context;
  place.done.store(0, std::memory_order_relaxed);
  place.open.store(shares);
  if (shares > 0)
    wake(shares);
  share(context, ownScratch);
  const uint32_t begun = shares - place.open.exchange(0);
  for (int i = 0; i < spins; ++i) {
    if (place.done.load(std::memory_order_acquire) == begun)
      return;
    pauseOnce();
  }
  place.isAwaited.store(true);
  for (uint32_t done; (done = place.done.load()) != begun;)
    sleepWhile(place.done, done);
  place.isAwaited.store(false, std::memory_order_relaxed);
}

void ThreadPool::leave(Place &place) noexcept {
  if (!place.isLast.load(std::memory_order_relaxed))
    runs.fetch_sub(1, std::memory_order_relaxed);
  place.isTaken.store(false, std::memory_order_release);
}

} // namespace nysjit
