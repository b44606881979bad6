// Who is believed: modes, owners, links. What cannot be read is told from what is damaged.
#include "runtime/cache/trust.h"
#include "tests/runtime/cache_fixture.h"

#include <functional>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {
namespace {

constexpr uid_t nobody = 65534;

TEST(Trust, is_of_root_and_oneself_and_of_what_no_other_may_write) {
  struct Case {
    uid_t owner;
    mode_t mode;
    uid_t self;
    std::string reason;
  };
  for (const Case &one : {
           Case{1000, S_IFREG | 0644, 1000, ""},
           Case{0, S_IFREG | 0644, 1000, ""},
           Case{1000, S_IFREG | 0600, 1000, ""},
           Case{0, S_IFDIR | 0755, 1000, ""},
           Case{1001, S_IFREG | 0644, 1000, "owned by user 1001"},
           Case{1000, S_IFREG | 0644, 0, "owned by user 1000"}, // root believes root alone
           Case{0, S_IFDIR | 01777, 1000, "writable by everyone"},
           Case{0, S_IFDIR | 01777, 0, "writable by everyone"}, // as /tmp
           Case{1000, S_IFDIR | 0777, 1000, "writable by everyone"},
           Case{1000, S_IFDIR | 0775, 1000, "writable by its group"},
           Case{1000, S_IFREG | 0664, 1000, "writable by its group"},
           Case{1000, S_IFREG | 0666, 1000, "writable by everyone"},
       }) {
    struct stat status = {};
    status.st_uid = one.owner;
    status.st_mode = one.mode;
    EXPECT_EQ(whyNotTrusted(status, one.self), one.reason)
        << one.owner << ' ' << std::oct << one.mode << std::dec << ' ' << one.self;
  }
}

bool inChild(const std::function<bool()> &isRight) {
  const pid_t child = fork();
  if (child == 0)
    _exit(isRight() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

class CacheTrust : public testing::Test {
protected:
  void SetUp() override {
    before = umask(022);
    chmod(folder.path.c_str(), 0755);
    ASSERT_EQ(store(cache), "");
  }
  void TearDown() override { umask(before); }
  mode_t modeOf(const std::string &path) {
    struct stat status = {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  std::string entryFile() { return where + "/" + key.hash + ".nysjit"; }
  /// In a child process that is another user; true if `isRight` was.
  bool asNobody(const std::function<bool()> &isRight) {
    return inChild([&] { return setgid(nobody) == 0 && setuid(nobody) == 0 && isRight(); });
  }
  /// As one for whom modes count: root reads whatever it likes.
  bool asOrdinaryUser(const std::function<bool()> &isRight) {
    return geteuid() == 0 ? asNobody(isRight) : isRight();
  }

  TemporaryFolder folder;
  std::string where = folder / "cache";
  DiskCache cache{where};
  ProgramKey key = sampleKey();
  mode_t before = 0;
};

/// Root may lack the right to do so in a container.
bool mayBecomeNobody() {
  const TemporaryFolder folder;
  writeAll(folder / "file", "");
  return geteuid() == 0 && chown((folder / "file").c_str(), nobody, nobody) == 0 &&
         inChild([] { return setgid(nobody) == 0 && setuid(nobody) == 0; });
}

#define NYSJIT_NEEDS_ANOTHER_USER()                                                                \
  if (!mayBecomeNobody())                                                                          \
  GTEST_SKIP() << "only root can become another user or give a file away"

TEST_F(CacheTrust, modes_follow_the_umask) {
  EXPECT_EQ(modeOf(where), 0755u);
  EXPECT_EQ(modeOf(entryFile()), 0644u);
  umask(077);
  DiskCache strict(folder / "strict");
  store(strict);
  EXPECT_EQ(modeOf(folder / "strict"), 0700u);
  EXPECT_EQ(modeOf(folder / ("strict/" + key.hash + ".nysjit")), 0600u);
  umask(0); // even so no other user may write what will be run
  DiskCache open(folder / "open");
  store(open);
  EXPECT_EQ(modeOf(folder / "open"), 0755u);
  EXPECT_EQ(modeOf(folder / ("open/" + key.hash + ".nysjit")), 0644u);
  EXPECT_EQ(open.find(key).state, EntryState::Whole);
}

TEST_F(CacheTrust, the_default_folder_is_private) {
  setenv("XDG_CACHE_HOME", (folder / "home").c_str(), 1);
  DiskCache standard(defaultCacheFolder());
  unsetenv("XDG_CACHE_HOME");
  ASSERT_EQ(store(standard), "");
  EXPECT_EQ(modeOf(folder / "home/nysjit"), 0700u);
}

TEST_F(CacheTrust, what_a_group_or_everyone_may_write_is_not_loaded) {
  for (const mode_t mode : {0664, 0646, 0666}) {
    chmod(entryFile().c_str(), mode);
    EXPECT_EQ(cache.find(key).state, EntryState::NotTrusted) << std::oct << mode;
  }
  EXPECT_TRUE(cache.keyTexts().empty());
  EXPECT_EQ(store(cache), ""); // and replaced
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
}

TEST_F(CacheTrust, a_folder_that_others_may_write_is_neither_read_nor_written) {
  for (const mode_t mode : {0775, 0757, 0777, 01777}) {
    chmod(where.c_str(), mode);
    EXPECT_EQ(cache.find(key).state, EntryState::NotTrusted) << std::oct << mode;
    EXPECT_EQ(cache.find(key).reason, std::string("its folder is writable by ") +
                                          (mode & S_IWOTH ? "everyone" : "its group"));
    EXPECT_NE(store(cache, sampleKey(128)), "");
    EXPECT_EQ(cache.lock(key.hash, 0, {}), nullptr);
    EXPECT_EQ(cache.lastMaker().compiler, "");
    EXPECT_EQ(cache.trustedFolder(), "");
    EXPECT_EQ(cache.collect({1, 1}).entries, 0u);
  }
  chmod(where.c_str(), 0755);
  EXPECT_EQ(cache.list().size(), 1u);
}

TEST_F(CacheTrust, a_link_in_an_entrys_place_is_not_followed) {
  std::filesystem::rename(entryFile(), folder / "elsewhere");
  std::filesystem::create_symlink(folder / "elsewhere", entryFile());
  EXPECT_EQ(cache.find(key).state, EntryState::NotTrusted);
  EXPECT_EQ(cache.find(key).reason, "a symbolic link");
  EXPECT_EQ(store(cache), ""); // replaces the link, not what it points to
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
  writeAll(folder / "elsewhere", "somebody's");
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
}

TEST_F(CacheTrust, a_link_to_the_folder_is_followed_and_its_target_looked_at) {
  std::filesystem::create_directory_symlink(where, folder / "link");
  DiskCache linked(folder / "link");
  EXPECT_EQ(linked.find(key).state, EntryState::Whole);
  chmod(where.c_str(), 0777);
  EXPECT_EQ(linked.find(key).state, EntryState::NotTrusted);
}

TEST_F(CacheTrust, another_users_entry_or_folder_is_not_believed) {
  NYSJIT_NEEDS_ANOTHER_USER();
  ASSERT_EQ(chown(entryFile().c_str(), nobody, nobody), 0);
  EXPECT_EQ(cache.find(key).reason, "owned by user 65534");
  ASSERT_EQ(chown(entryFile().c_str(), 0, 0), 0);
  ASSERT_EQ(chown(where.c_str(), nobody, nobody), 0);
  EXPECT_EQ(cache.find(key).reason, "its folder is owned by user 65534");
  EXPECT_NE(store(cache), "");
  EXPECT_TRUE(asNobody([this] { return DiskCache(where).find(key).state == EntryState::Whole; }));
}

TEST_F(CacheTrust, what_root_fills_all_may_read_and_none_writes) {
  NYSJIT_NEEDS_ANOTHER_USER();
  EXPECT_TRUE(asNobody([this] {
    DiskCache theirs(where);
    return theirs.find(key).state == EntryState::Whole && !theirs.list().empty() &&
           store(theirs, sampleKey(128)) == "Permission denied" && theirs.clear().failure != "";
  }));
  EXPECT_EQ(cache.find(key).state, EntryState::Whole);
}

TEST_F(CacheTrust, what_cannot_be_read_is_not_damaged) {
  if (geteuid() == 0)
    NYSJIT_NEEDS_ANOTHER_USER();
  chmod(entryFile().c_str(), 0);
  const auto isRefused = [this] {
    DiskCache theirs(where);
    const EntryRead read = theirs.find(key);
    return read.state == EntryState::Unreadable && read.reason == "Permission denied" &&
           theirs.list().at(0).reason == "Permission denied";
  };
  EXPECT_TRUE(asOrdinaryUser(isRefused));
}

TEST_F(CacheTrust, a_folder_that_cannot_be_entered_says_so) {
  if (geteuid() == 0)
    NYSJIT_NEEDS_ANOTHER_USER();
  chmod(where.c_str(), 0);
  const auto isRefused = [this] {
    return DiskCache(where).folderState().reason == "Permission denied";
  };
  EXPECT_TRUE(asOrdinaryUser(isRefused));
  chmod(where.c_str(), 0755);
}

} // namespace
} // namespace nysjit
