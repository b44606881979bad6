// The disk cache: what is stored comes back, what is damaged in any way does not, and nothing half
// done is ever seen.
#include "tests/runtime/cache_fixture.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {
namespace {

size_t filesIn(const std::string &folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(CacheEntry, round_trip) {
  const CacheEntry entry = sampleEntry();
  const auto read = entryFromBytes(entryToBytes(entry));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->keyText, entry.keyText);
  EXPECT_EQ(read->planJson, entry.planJson);
  EXPECT_EQ(read->object, entry.object);
  EXPECT_EQ(read->ptx, entry.ptx);
}

TEST(CacheEntry, any_flipped_bit_is_damage) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(entryFromBytes(damaged)) << "bit " << i;
  }
}

TEST(CacheEntry, any_truncation_is_damage) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(entryFromBytes(bytes.substr(0, length))) << length;
  EXPECT_FALSE(entryFromBytes(bytes + "x"));
}

class Disk : public testing::Test {
protected:
  std::string entryFile(const ProgramKey &of = sampleKey()) {
    return folder / (of.hash + ".nysjit");
  }
  EntryState stateWith(const std::string &bytes) {
    writeAll(entryFile(), bytes);
    return cache.find(key).state;
  }
  TemporaryFolder folder;
  DiskCache cache{folder.path};
  ProgramKey key = sampleKey();
};

TEST_F(Disk, gives_back_what_was_stored) {
  DiskCache deep(folder / "deep/cache");
  EXPECT_EQ(deep.find(key).state, EntryState::Absent);
  ASSERT_EQ(store(deep), "");
  const EntryRead read = deep.find(key);
  ASSERT_TRUE(read.entry);
  EXPECT_EQ(read.entry->object, sampleEntry().object);
}

TEST_F(Disk, every_flipped_byte_on_disk_is_a_miss) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    const EntryState state = stateWith(damaged);
    // Within the format's number another format is claimed.
    EXPECT_EQ(state, i / 4 == 2 ? EntryState::OtherFormat : EntryState::Damaged) << "byte " << i;
  }
  EXPECT_EQ(stateWith(bytes), EntryState::Whole);
}

TEST_F(Disk, every_length_but_the_whole_is_a_miss) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_EQ(stateWith(bytes.substr(0, length)), EntryState::Damaged) << length;
  EXPECT_EQ(stateWith(bytes + "x"), EntryState::Damaged);
}

TEST_F(Disk, another_keys_entry_in_the_place_is_a_miss) {
  EXPECT_EQ(stateWith(entryToBytes(sampleEntry(sampleKey(128)))), EntryState::Damaged);
  CacheEntry entry = sampleEntry();
  entry.keyText += "x"; // its checksum is right
  EXPECT_EQ(stateWith(entryToBytes(entry)), EntryState::Damaged);
  EXPECT_EQ(cache.read(key.hash).reason, "another key's");
  EXPECT_TRUE(cache.keyTexts().empty());
}

TEST_F(Disk, an_entry_of_another_version_is_no_damage) {
  std::string bytes = entryToBytes(sampleEntry());
  bytes[8] = 2;
  EXPECT_EQ(stateWith(bytes), EntryState::OtherFormat);
  EXPECT_EQ(cache.read(key.hash).reason, "of format 2, not 3");
}

TEST_F(Disk, lists_whole_and_damaged_entries_and_clears_all) {
  const std::string other = sampleKey(128).hash;
  store(cache);
  writeAll(folder / (other + ".nysjit"), "rubbish");
  writeAll(folder / (other + ".nysjit.abcdef.tmp"), "left by a killed writer");
  writeAll(folder / "notes.txt", "somebody's");
  writeAll(folder / "compiler.txt", "somebody's");
  const std::vector<CacheListing> listings = cache.list();
  ASSERT_EQ(listings.size(), 2u);
  for (const CacheListing &listing : listings) {
    EXPECT_EQ(listing.state == EntryState::Whole, listing.key == key.hash);
    EXPECT_EQ(listing.keyText, listing.key == key.hash ? key.text : "");
  }
  EXPECT_EQ(cache.keyTexts(), std::vector<std::string>{key.text});
  EXPECT_EQ(cache.clear().entries, 2u);
  EXPECT_EQ(filesIn(folder.path), 2u); // somebody's
}

TEST_F(Disk, what_is_no_file_is_a_miss_and_makes_room) {
  // opening a FIFO for reading would wait for a writer
  ASSERT_EQ(mkfifo(entryFile().c_str(), 0600), 0);
  EXPECT_EQ(cache.find(key).reason, "no regular file");
  EXPECT_EQ(store(cache), "");
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
  const ProgramKey second = sampleKey(128);
  ASSERT_TRUE(std::filesystem::create_directory(entryFile(second)));
  EXPECT_EQ(cache.find(second).reason, "a folder");
  EXPECT_EQ(store(cache, second), "");
  EXPECT_EQ(cache.find(second).state, EntryState::Whole);
}

TEST_F(Disk, what_is_no_file_is_cleared) {
  ASSERT_EQ(mkfifo(entryFile().c_str(), 0600), 0);
  ASSERT_TRUE(std::filesystem::create_directory(entryFile(sampleKey(128))));
  EXPECT_EQ(cache.clear().entries, 2u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

TEST_F(Disk, a_folder_with_something_in_it_stays_and_is_told_of) {
  std::filesystem::create_directories(entryFile() + "/inner");
  EXPECT_NE(store(cache), "");
  EXPECT_NE(cache.clear().failure.find("not empty"), std::string::npos);
  EXPECT_EQ(filesIn(folder.path), 1u); // and no file aside
}

TEST(DiskCache, a_folder_that_is_not_there_is_empty) {
  DiskCache cache("/proc/nothing/here");
  EXPECT_NE(store(cache), "");
  EXPECT_EQ(cache.lock(sampleKey().hash, 0, {}), nullptr);
  EXPECT_TRUE(cache.list().empty());
  EXPECT_EQ(cache.clear().entries, 0u);
}

TEST_F(Disk, a_folder_that_is_a_file_keeps_nothing_and_says_so) {
  writeAll(folder / "file", "");
  DiskCache file(folder / "file");
  EXPECT_EQ(store(file), "Not a directory");
  EXPECT_EQ(file.find(key).state, EntryState::Absent);
  EXPECT_EQ(file.folderState().reason, "Not a directory");
}

TEST_F(Disk, a_key_cannot_leave_the_folder) {
  EXPECT_EQ(cache.read("../../../../../etc/passwd").state, EntryState::Absent);
}

TEST_F(Disk, a_relative_folder_stays_where_it_was) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path);
  DiskCache relative("under");
  std::filesystem::current_path(before);
  EXPECT_EQ(store(relative), "");
  EXPECT_TRUE(std::filesystem::exists(folder / ("under/" + key.hash + ".nysjit")));
}

TEST(DefaultCacheFolder, is_the_first_that_is_set) {
  const auto with = [](const char *set, const char *xdg, const char *home) {
    setenv("NYSJIT_CACHE_DIR", set, 1);
    setenv("XDG_CACHE_HOME", xdg, 1);
    setenv("HOME", home, 1);
    return defaultCacheFolder().path;
  };
  const std::string home = getenv("HOME") ? getenv("HOME") : "";
  EXPECT_EQ(with("/a", "/b", "/c"), "/a");
  EXPECT_EQ(with("", "/b", "/c"), "/b/nysjit"); // empty is not set
  EXPECT_EQ(with("", "b", "/c"),
            "/c/.cache/nysjit"); // the XDG specification: not absolute, ignored
  EXPECT_EQ(with("", "", ""), "");
  unsetenv("NYSJIT_CACHE_DIR");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", home.c_str(), 1);
}

/// Past a limit on a file's size in a child process, whose exit status is returned.
int inChildWithFileLimit(rlim_t bytes, const std::function<bool()> &isRight) {
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit limit = {bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(isRight() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(Disk, a_limit_on_file_sizes_is_an_error_and_no_signal) {
  EXPECT_EQ(inChildWithFileLimit(20, [this] { return store(cache) == "File too large"; }), 0);
  EXPECT_EQ(inChildWithFileLimit(0, [this] { return store(cache) == "File too large"; }), 0);
  EXPECT_EQ(filesIn(folder.path), 0u);
}

TEST_F(Disk, the_hosts_own_signal_of_sizes_stays) {
  EXPECT_EQ(inChildWithFileLimit(20,
                                 [this] {
                                   sigset_t sizes;
                                   sigemptyset(&sizes);
                                   sigaddset(&sizes, SIGXFSZ);
                                   sigprocmask(SIG_BLOCK, &sizes, nullptr);
                                   raise(SIGXFSZ); // pending, the host's
                                   store(cache);
                                   sigset_t after;
                                   sigset_t pending;
                                   sigprocmask(SIG_BLOCK, nullptr, &after);
                                   sigpending(&pending);
                                   return sigismember(&pending, SIGXFSZ) == 1 &&
                                          sigismember(&after, SIGXFSZ) == 1;
                                 }),
            0);
}

} // namespace
} // namespace nysjit
