// The pool and who uses it: shares begin at most once, nobody waits for a thread that did not begin
// one, and threads are what a host can live with.
#include "runtime/base/float_environment.h"
#include "runtime/device/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <unistd.h>
#include <vector>

namespace nysjit {
namespace {

/// Cells to be counted, each thread in its scratch first.
struct Cells {
  std::atomic<int64_t> next{0};
  std::vector<int> counts; // plain: the hand-over orders the accesses
  explicit Cells(size_t grid) : counts(grid) {}
  static void share(void *context, void *scratch) {
    Cells &cells = *static_cast<Cells *>(context);
    for (int64_t cell; (cell = cells.next++) < int64_t(cells.counts.size());) {
      static_cast<int64_t *>(scratch)[7] = cell;
      ++cells.counts[size_t(static_cast<int64_t *>(scratch)[7])];
    }
  }
  bool isEachCountedOnce() const {
    return std::ranges::all_of(counts, [](int count) { return count == 1; });
  }
};

/// `launches` launches of a run, every cell counted.
bool runOnce(ThreadPool &pool, size_t others, int launches, size_t scratchBytes = 64) {
  ThreadPool::Place *place = pool.enter(scratchBytes);
  std::vector<int64_t> own(scratchBytes / 8);
  bool isRight = true;
  for (int i = 0; i < launches; ++i) {
    Cells cells(size_t(1 + i % 17));
    if (place)
      pool.launch(*place, &Cells::share, &cells, own.data(), others, i + 1 == launches);
    else
      Cells::share(&cells, own.data());
    isRight &= cells.isEachCountedOnce();
  }
  if (place)
    pool.leave(*place);
  return isRight;
}

TEST(ThreadPool, every_cell_runs_once) {
  ThreadPool pool;
  pool.start(3);
  ASSERT_EQ(pool.size(), 3u);
  for (int run = 0; run < 300; ++run)
    ASSERT_TRUE(runOnce(pool, 3, 1 + run % 5));
}

TEST(ThreadPool, more_shares_than_threads_are_no_matter) {
  ThreadPool pool;
  pool.start(1);
  for (int run = 0; run < 50; ++run)
    ASSERT_TRUE(runOnce(pool, 4000, 3));
}

TEST(ThreadPool, more_callers_than_places_run_at_once) {
  ThreadPool pool;
  pool.start(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 12; ++t)
    callers.emplace_back([&, t] {
      for (size_t i = 0; i < 60; ++i)
        wrong += !runOnce(pool, 3, 3, 64 << (i + size_t(t)) % 7); // scratch grows on the way
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, a_run_that_ends_early_leaves_nothing_behind) {
  ThreadPool pool;
  pool.start(2);
  for (int i = 0; i < 100; ++i) {
    ThreadPool::Place *place = pool.enter(64);
    ASSERT_NE(place, nullptr);
    int64_t own[8];
    Cells cells(5);
    pool.launch(*place, &Cells::share, &cells, own, 2, /*isLast=*/false);
    pool.leave(*place); // as after an error
  }
  EXPECT_TRUE(runOnce(pool, 2, 3));
}

TEST(ThreadPool, all_threads_take_part_whatever_their_scratch) {
  ThreadPool pool;
  pool.start(2);
  for (const size_t bytes : {size_t(0), size_t(64), size_t(1) << 20, size_t(0)}) {
    ThreadPool::Place *place = pool.enter(bytes);
    ASSERT_NE(place, nullptr);
    std::atomic<int> came{0};
    const ThreadShare meet = [](void *context, void *) {
      std::atomic<int> &count = *static_cast<std::atomic<int> *>(context);
      ++count;
      for (int i = 0; i < 10000 && count < 3; ++i) // ten seconds
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    pool.launch(*place, meet, &came, nullptr, 2, true);
    pool.leave(*place);
    EXPECT_EQ(came, 3) << bytes;
  }
}

TEST(ThreadPool, a_busy_thread_is_not_waited_for) {
  ThreadPool pool;
  pool.start(1);
  // One run holds the only thread until another run has been through.
  std::atomic<bool> isHeld{false};
  std::atomic<bool> isFree{false};
  struct Held {
    std::atomic<bool> &isHeld;
    std::atomic<bool> &isFree;
    std::thread::id caller = {};
  } held{isHeld, isFree};
  std::thread holder([&] {
    held.caller = std::this_thread::get_id();
    ThreadPool::Place *place = pool.enter(64);
    int64_t own[8];
    const ThreadShare hold = [](void *context, void *) {
      Held &h = *static_cast<Held *>(context);
      if (std::this_thread::get_id() == h.caller)
        while (!h.isHeld) // until the pool's thread is here
          std::this_thread::yield();
      h.isHeld = true;
      while (!h.isFree)
        std::this_thread::yield();
    };
    pool.launch(*place, hold, &held, own, 1, true);
    pool.leave(*place);
  });
  while (!isHeld)
    std::this_thread::yield();
  EXPECT_TRUE(runOnce(pool, 1, 5)); // else this test hangs
  isFree = true;
  holder.join();
}

TEST(ThreadPool, threads_compute_in_the_default_environment) {
  std::fesetround(FE_UPWARD); // new threads inherit it
  ThreadPool pool;
  pool.start(2);
  std::fesetround(FE_TONEAREST);
  std::atomic<int> upward{0};
  for (int i = 0; i < 50; ++i) {
    ThreadPool::Place *place = pool.enter(64);
    int64_t own[8];
    pool.launch(
        *place,
        [](void *context, void *) {
          std::this_thread::sleep_for(std::chrono::microseconds(100)); // time for all to come
          *static_cast<std::atomic<int> *>(context) += std::fegetround() != FE_TONEAREST;
        },
        &upward, own, 2, true);
    pool.leave(*place);
  }
  EXPECT_EQ(upward, 0);
}

TEST(ThreadTeam, one_cell_runs_on_the_calling_thread) {
  Threads threads(4);
  RunFloatEnvironment environment;
  ThreadTeam team(threads, 64, &environment);
  std::thread::id ran;
  team.launch([](void *context,
                 void *) { *static_cast<std::thread::id *>(context) = std::this_thread::get_id(); },
              &ran, 1, true);
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST(ThreadTeam, first_runs_at_once_share_one_pool) {
  for (int round = 0; round < 20; ++round) {
    Threads threads(3);
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int t = 0; t < 4; ++t)
      callers.emplace_back([&] {
        RunFloatEnvironment environment;
        ThreadTeam team(threads, 64, &environment);
        Cells cells(50);
        team.launch(&Cells::share, &cells, 50, true);
        wrong += !cells.isEachCountedOnce();
      });
    for (std::thread &caller : callers)
      caller.join();
    EXPECT_EQ(wrong, 0);
  }
}

} // namespace
} // namespace nysjit
