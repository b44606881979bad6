// How the cache shrinks: the least recently used first, what is in use and what is young kept,
// litter removed; and what is counted.
#include "runtime/cache/publish.h"
#include "tests/runtime/cache_fixture.h"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {
namespace {

class CacheSize : public testing::Test {
protected:
  /// Entries of head_dim 8, 16, …, the first used longest ago, all more than an hour ago.
  void fill(int count) {
    for (int i = 1; i <= count; ++i) {
      ASSERT_EQ(store(cache, sampleKey(8 * i), 1000), "");
      age(entry(i), 7200 + 100 * (count - i));
    }
  }
  std::string entry(int i) { return sampleKey(8 * i).hash + ".nysjit"; }
  bool isThere(int i) { return std::filesystem::exists(folder / entry(i)); }
  void age(const std::string &name, time_t seconds) {
    const timespec then = {time(nullptr) - seconds, 0};
    const timespec times[2] = {then, then};
    ASSERT_EQ(utimensat(AT_FDCWD, (folder / name).c_str(), times, 0), 0) << name;
  }
  TemporaryFolder folder;
  DiskCache cache{folder.path};
};

TEST_F(CacheSize, the_least_recently_used_go_first) {
  fill(6);
  EXPECT_EQ(cache.find(sampleKey(8)).state, EntryState::Whole); // the oldest is used again
  const CacheRemoved removed = cache.collect({0, 3});
  EXPECT_EQ(removed.entries, 3u);
  for (int i = 1; i <= 6; ++i)
    EXPECT_EQ(isThere(i), i == 1 || i > 4) << i;
}

TEST_F(CacheSize, bytes_are_limited_too) {
  fill(4);
  const auto bytesOf = [this](int i) { return std::filesystem::file_size(folder / entry(i)); };
  const uint64_t older = bytesOf(1) + bytesOf(2);
  const uint64_t newer = bytesOf(3) + bytesOf(4);
  EXPECT_EQ(cache.collect({older + newer, 0}).entries, 0u);
  EXPECT_EQ(cache.collect({newer, 0}).bytes, older);
  EXPECT_FALSE(isThere(2));
  EXPECT_TRUE(isThere(3));
}

TEST_F(CacheSize, zero_is_no_limit) {
  fill(2);
  EXPECT_EQ(cache.collect({0, 0}).entries, 0u);
}

TEST_F(CacheSize, what_is_in_use_stays) {
  fill(3);
  EntryRead used = cache.find(sampleKey(8));
  ASSERT_EQ(used.state, EntryState::Whole);
  age(entry(1), 99999); // were it not in use, it would go first
  DiskCache other(folder.path);
  const CacheRemoved removed = other.collect({1, 0});
  EXPECT_EQ(removed.entries, 2u);
  EXPECT_EQ(removed.inUse, 1u);
  EXPECT_TRUE(isThere(1));
  used.inUse = InUse();
  EXPECT_EQ(other.collect({1, 0}).entries, 1u);
}

TEST_F(CacheSize, a_program_in_use_does_not_close_a_file_of_the_hosts) {
  fill(1);
  int number = -1;
  {
    const EntryRead used = cache.find(sampleKey(8));
    for (int file = 3; file < 64 && number < 0; ++file)
      if (struct stat status; fstat(file, &status) == 0 &&
                              std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file))
                                      .string()
                                      .find(entry(1)) != std::string::npos)
        number = file;
    ASSERT_GE(number, 0);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, number); // as a host that closed all and opened its own
    close(null);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), 0);
  close(number);
}

/// Whether an entry that is found keeps a descriptor, in a process that may have so many.
bool keepsDescriptor(DiskCache &cache, rlim_t limit) {
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit few = {limit, limit};
    setrlimit(RLIMIT_NOFILE, &few);
    const auto open = [] {
      return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    const auto before = open();
    const EntryRead used = cache.find(sampleKey(8));
    _exit(used.state != EntryState::Whole ? 2 : open() > before);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_LT(WEXITSTATUS(status), 2);
  return WEXITSTATUS(status) == 1;
}

TEST_F(CacheSize, scarce_descriptors_are_the_hosts) {
  fill(1);
  const int free = dup(0); // the number that is next
  close(free);
  EXPECT_TRUE(keepsDescriptor(cache, static_cast<rlim_t>(4 * free + 16)));
  EXPECT_FALSE(keepsDescriptor(cache, static_cast<rlim_t>(free + 3)));
}

TEST_F(CacheSize, a_host_without_standard_streams_keeps_their_numbers) {
  fill(1);
  const pid_t child = fork();
  if (child == 0) {
    close(0);
    const EntryRead used = cache.find(sampleKey(8));
    _exit(used.state == EntryState::Whole && open("/dev/null", O_RDONLY) == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(CacheSize, a_store_over_the_limit_makes_room_and_keeps_its_own) {
  fill(20);
  const ProgramKey last = sampleKey(256);
  ASSERT_TRUE(cache.store(last.hash, sampleEntry(last), {0, 20}).ok());
  EXPECT_EQ(cache.find(last).state, EntryState::Whole);
  EXPECT_EQ(cache.counters().entries,
            18u); // a tenth below the limit, so that not every store scans
  EXPECT_FALSE(isThere(3));
  EXPECT_TRUE(isThere(4));
  EXPECT_EQ(cache.counters().evictions, 3u);
}

TEST_F(CacheSize, a_folder_without_counters_is_counted_first) {
  fill(5);
  std::filesystem::remove(folder / "counters");
  const ProgramKey last = sampleKey(256);
  ASSERT_TRUE(cache.store(last.hash, sampleEntry(last), {0, 4}).ok());
  EXPECT_EQ(cache.counters().entries, 4u);
}

TEST_F(CacheSize, litter_goes_and_what_is_held_stays) {
  const std::string key = sampleKey().hash;
  writeAll(folder / (key + ".nysjit.aaaaaa.tmp"), "of a killed writer");
  writeAll(folder / (key + ".nysjit.bbbbbb.tmp"), "of one that writes");
  writeAll(folder / (key + ".nysjit.cccccc.tmp"), "of one that has just begun");
  writeAll(folder / "notes.tmp", "somebody's");
  age(key + ".nysjit.aaaaaa.tmp", 100);
  age(key + ".nysjit.bbbbbb.tmp", 100000);
  const int writer = open((folder / (key + ".nysjit.bbbbbb.tmp")).c_str(), O_WRONLY);
  ASSERT_EQ(flock(writer, LOCK_EX), 0);
  writeAll(folder / (sampleKey(8).hash + ".lock"), ""); // its holder was killed
  const OpenFolder opened(folder.path);
  const FileLock held(opened, key + ".lock", 0);
  EXPECT_EQ(cache.collect({}).litter, 2u);
  close(writer);
  for (const char *name : {".nysjit.bbbbbb.tmp", ".nysjit.cccccc.tmp", ".lock"})
    EXPECT_TRUE(std::filesystem::exists(folder / (key + name))) << name;
  EXPECT_TRUE(std::filesystem::exists(folder / "notes.tmp"));
  EXPECT_FALSE(std::filesystem::exists(folder / "gc.lock"));
}

TEST_F(CacheSize, a_hit_marks_the_use_once_an_hour) {
  fill(1);
  const auto modified = [this] { return std::filesystem::last_write_time(folder / entry(1)); };
  const auto before = modified();
  (void)cache.read(sampleKey(8).hash); // looking is no use
  EXPECT_EQ(modified(), before);
  (void)cache.find(sampleKey(8));
  const auto used = modified();
  EXPECT_GT(used, before);
  (void)cache.find(sampleKey(8));
  EXPECT_EQ(modified(), used);
}

TEST_F(CacheSize, counts_are_told_at_a_store_and_at_the_end) {
  {
    DiskCache one(folder.path);
    (void)one.find(sampleKey());
    one.countMiss(EntryState::Absent);
    store(one);
    (void)one.find(sampleKey());
    (void)one.find(sampleKey());
    one.countMiss(EntryState::Damaged);
  }
  const CacheCounters counters = cache.counters();
  EXPECT_EQ(counters.entries, 1u);
  EXPECT_EQ(counters.bytes, std::filesystem::file_size(folder / (sampleKey().hash + ".nysjit")));
  EXPECT_EQ(counters.hits, 2u);
  EXPECT_EQ(counters.misses, 2u);
  EXPECT_EQ(counters.stores, 1u);
  EXPECT_EQ(counters.refused, 1u);
}

TEST_F(CacheSize, a_forked_child_does_not_tell_its_parents_counts_again) {
  {
    DiskCache one(folder.path);
    store(one);
    (void)one.find(sampleKey());
    const pid_t child = fork();
    if (child == 0) {
      one.~DiskCache();
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  }
  EXPECT_EQ(cache.counters().hits, 1u);
}

TEST_F(CacheSize, damaged_counters_begin_anew) {
  store(cache);
  for (const std::string &text : {std::string(), std::string("rubbish"), std::string(224, '9')}) {
    writeAll(folder / "counters", text);
    DiskCache one(folder.path);
    (void)one.find(sampleKey());
    store(one, sampleKey(8));
    EXPECT_EQ(one.counters().hits, 1u);
    const OpenFolder opened(folder.path);
    EXPECT_EQ(readCounters(opened)->entries, 2u);
  }
}

TEST_F(CacheSize, many_processes_lose_no_count_where_there_are_locks) {
  store(cache);
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(fork());
    if (children.back() == 0) {
      const OpenFolder opened(folder.path);
      for (int hit = 0; hit < 50;)
        hit += changeCounters(opened, [](CacheCounters &now) { ++now.hits; });
      _exit(0);
    }
  }
  for (const pid_t child : children)
    waitpid(child, nullptr, 0);
  EXPECT_EQ(cache.counters().hits, 400u);
}

TEST(CacheLimits, come_from_the_environment_whole_or_not_at_all) {
  EXPECT_EQ(cacheLimits()->bytes, uint64_t(2) << 30);
  EXPECT_EQ(cacheLimits()->entries, 20000u);
  setenv("NYSJIT_CACHE_MAX_BYTES", "1000", 1);
  setenv("NYSJIT_CACHE_MAX_ENTRIES", "0", 1);
  EXPECT_EQ(cacheLimits()->bytes, 1000u);
  EXPECT_EQ(cacheLimits()->entries, 0u);
  setenv("NYSJIT_CACHE_MAX_BYTES", "2G", 1);
  EXPECT_EQ(cacheLimits().error().where, "NYSJIT_CACHE_MAX_BYTES");
  unsetenv("NYSJIT_CACHE_MAX_BYTES");
  unsetenv("NYSJIT_CACHE_MAX_ENTRIES");
}

} // namespace
} // namespace nysjit
