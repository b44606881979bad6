// The cache on a file system that fails: bad_files is linked before the C library. Whatever fails,
// an entry is there whole or it is not, and nothing is left beside it.
#include "tests/runtime/cache_fixture.h"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace nysjit {
namespace {

class CacheFailure : public testing::Test {
protected:
  void SetUp() override { setenv("BAD_FILES_UNDER", folder.path.c_str(), 1); }
  void TearDown() override {
    for (const char *name : {"BAD_FILES_UNDER", "BAD_FILES_FAIL", "BAD_FILES_CALLS",
                             "BAD_FILES_ERROR", "BAD_FILES_SEED"})
      unsetenv(name);
  }
  /// From now on these calls fail so often, of a thousand, with this error or (0) one of theirs.
  void fail(const std::string &calls, int often = 1000, int error = 0) {
    setenv("BAD_FILES_CALLS", calls.c_str(), 1);
    setenv("BAD_FILES_FAIL", std::to_string(often).c_str(), 1);
    setenv("BAD_FILES_ERROR", std::to_string(error).c_str(), 1);
  }
  void heal() { setenv("BAD_FILES_FAIL", "0", 1); }
  size_t files() {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path), {}));
  }
  TemporaryFolder folder;
  DiskCache cache{folder.path};
  ProgramKey key = sampleKey();
};

TEST_F(CacheFailure, whatever_fails_a_store_it_says_so_and_leaves_nothing) {
  for (const char *call : {"write", "fsync", "close", "rename"})
    for (const int error : {ENOSPC, EIO, EDQUOT}) {
      fail(call, 1000, error);
      EXPECT_EQ(store(cache), std::strerror(error)) << call;
      heal();
      EXPECT_EQ(files(), 0u) << call << ' ' << std::strerror(error);
    }
  fail("open", 1000, EMFILE);
  EXPECT_EQ(store(cache), std::strerror(EMFILE));
}

TEST_F(CacheFailure, a_store_that_fails_leaves_the_old_entry) {
  ASSERT_EQ(store(cache), "");
  fail("write fsync close rename", 1000, EIO);
  EXPECT_NE(store(cache, key, 5000), "");
  heal();
  EXPECT_EQ(cache.find(key).entry->object.size(), 6u);
}

TEST_F(CacheFailure, without_locks_it_stores_all_the_same) {
  fail("flock", 1000, ENOLCK);
  EXPECT_FALSE(cache.lock(key.hash, 60000, {})->isHeld()); // at once
  EXPECT_EQ(store(cache), "");
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
  EXPECT_EQ(cache.counters().stores, 1u);
  EXPECT_EQ(cache.collect({1, 0}).entries, 1u);
  heal();
  EXPECT_EQ(files(), 1u); // the counters
}

TEST_F(CacheFailure, what_cannot_be_read_is_unreadable_with_its_reason) {
  ASSERT_EQ(store(cache), "");
  fail("read", 1000, EIO);
  EXPECT_EQ(cache.find(key).state, EntryState::Unreadable);
  EXPECT_EQ(cache.find(key).reason, std::strerror(EIO));
  fail("read", 1000, ESTALE);
  EXPECT_EQ(cache.find(key).reason, std::strerror(ESTALE)); // does not try for ever
}

TEST_F(CacheFailure, a_stale_handle_is_tried_again) {
  ASSERT_EQ(store(cache), "");
  int whole = 0;
  fail("open read", 200, ESTALE);
  for (int i = 0; i < 200; ++i)
    whole += cache.find(key).state == EntryState::Whole;
  EXPECT_GT(whole, 150); // of a single try 128 would be
}

TEST_F(CacheFailure, at_random_an_entry_is_whole_or_absent_and_never_damaged) {
  const unsigned seed = std::random_device()();
  setenv("BAD_FILES_SEED", std::to_string(seed).c_str(), 1);
  int stored = 0;
  for (int i = 0; i < 300; ++i) {
    fail("open read write fsync close rename flock", 100);
    stored += store(cache, key, 100 + static_cast<size_t>(i)).empty();
    const EntryRead during = cache.find(key);
    heal();
    const EntryRead after = cache.find(key);
    EXPECT_NE(during.state, EntryState::Damaged) << "seed " << seed << " round " << i;
    EXPECT_EQ(after.state, stored == 0 ? EntryState::Absent : EntryState::Whole)
        << "seed " << seed << " round " << i << ": " << after.reason;
  }
  EXPECT_GT(stored, 0);
  for (const auto &file : std::filesystem::directory_iterator(folder.path))
    EXPECT_NE(file.path().extension(), ".tmp") << "seed " << seed;
}

} // namespace
} // namespace nysjit
