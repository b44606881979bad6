// ThreadPool: threads that help the calling thread with a run's launches.
//
// A launch is posted as a number of shares, of which the calling thread does the first one itself.
// A share is no fixed part of the work: it works until there is none left. So a thread that comes
// too late, because it slept or had no CPU, finds nothing to do, and the launch was never waiting
// for it; only those that have begun a share are waited for.
//
// The threads block all signals but those that an instruction of their own raises, bear the names
// "nysjit-1", "nysjit-2", …, and run in the default floating-point environment. They allocate
// nothing: the calling thread brings their scratch.
#pragma once
#include "runtime/device/memory.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <sys/types.h>

namespace nysjit {

/// One thread's share of a launch. `scratch` is this thread's alone while it runs, 64-byte aligned.
using ThreadShare = void (*)(void *context, void *scratch);

/// Tells the process that made it from those that fork() makes; no system call where the kernel
/// wipes a page for the child (MADV_WIPEONFORK).
class ProcessMark {
public:
  ProcessMark() noexcept;
  ~ProcessMark();
  ProcessMark(const ProcessMark &) = delete;
  ProcessMark &operator=(const ProcessMark &) = delete;
  bool isOurs() const noexcept;

private:
  const volatile unsigned char *page = nullptr; // null: no such page, the owner is asked for
  pid_t owner;
};

class ThreadPool {
public:
  ThreadPool() noexcept;
  /// Ends the threads and waits for them; in a forked child, which has none, only frees memory.
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// Starts up to `most` threads, as many as the system grants. Once, by one thread; until then
  /// there are none.
  void start(size_t most) noexcept;
  /// How many were started.
  size_t size() const { return isStarted.load(std::memory_order_acquire) ? count : 0; }
  bool isOfThisProcess() const noexcept { return mark.isOurs(); }

  /// A run's place in the pool, for its launches one after the other.
  struct Place;
  /// Null if there are no threads, or so many runs at once that none would be left for this one.
  /// `scratchBytes`: the most that a launch of the run takes. `given`: scratch for the calling
  /// thread and all of the pool's.
  Place *enter(size_t scratchBytes, RunScratch given = {}) noexcept;
  /// Runs share(context, ownScratch) on the calling thread and the like on up to `others` threads
  /// of the pool, and returns when all that began have returned. After the `isLast` launch of a run
  /// the threads go to sleep at once, else they stay awake for a moment.
  void launch(Place &place, ThreadShare share, void *context, void *ownScratch, size_t others,
              bool isLast) noexcept;
  void leave(Place &place) noexcept;

private:
  struct Scratch;
  struct Thread;
  static void *enterThread(void *thread);
  bool startThread(size_t number, const pthread_attr_t &attributes) noexcept;
  bool reserveScratch(size_t bytes) noexcept;
  void work(Thread &self) noexcept;
  bool takeShare(Thread &self) noexcept;
  void waitForShares() noexcept;
  bool hasOpenShares() const noexcept;
  void wake(size_t most) noexcept;

  static constexpr size_t placeCount = 8;
  std::unique_ptr<Thread[]> threads;
  std::unique_ptr<Place[]> places;
  size_t count = 0; // of threads; constant once isStarted
  std::atomic<bool> isStarted{false};
  std::atomic<bool> isEnding{false};
  std::atomic<uint32_t> runs{0};     // that will launch again: worth staying awake for
  std::atomic<uint32_t> sleepers{0}; // threads asleep on `calls`, or about to be
  std::atomic<uint32_t> calls{0};    // how often sleepers were woken: what they sleep on
  std::atomic<size_t> scratchBytes{0};
  std::mutex growth; // of the threads' scratch
  ProcessMark mark;
};

} // namespace nysjit
