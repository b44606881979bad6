// FileLock: one holds it, whoever dies, forks or never lets go; one who waits can be called away.
#include "runtime/cache/lock.h"
#include "tests/runtime/temporary_folder.h"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nysjit {
namespace {

constexpr int patience = 60000; // ms

TEST(FileLock, one_holds_it_at_a_time) {
  const TemporaryFolder folder;
  const OpenFolder open(folder.path);
  std::vector<std::thread> threads;
  std::atomic<int> entered{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const FileLock lock(open, "lock", patience);
        ASSERT_TRUE(lock.isHeld());
        const int others = entered.fetch_add(1);
        EXPECT_EQ(others, 0);
        entered.fetch_sub(1);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_FALSE(std::filesystem::exists(folder / "lock")); // no litter
}

TEST(FileLock, what_the_host_has_opened_under_its_numbers_is_the_hosts) {
  const TemporaryFolder folder;
  const OpenFolder open(folder.path);
  std::filesystem::create_directory(folder / "hosts");
  std::ofstream(folder / "hosts/lock") << "the host's";
  const pid_t child = fork();
  if (child == 0) {
    bool isLeft = true;
    {
      const FileLock lock(open, "lock", patience);
      const InUse entry(::open((folder / "hosts/lock").c_str(), O_RDONLY));
      if (!lock.isHeld())
        _exit(2);
      for (int file = 3; file < 64; ++file)
        close(file);
      for (int file = 3; file < 64; ++file)
        if (::open((folder / "hosts").c_str(), O_RDONLY | O_DIRECTORY) != file)
          _exit(3);
    }
    for (int file = 3; file < 64; ++file)
      isLeft = isLeft && fcntl(file, F_GETFD) >= 0;
    _exit(isLeft && std::filesystem::exists(folder / "hosts/lock") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(FileLock, a_holder_that_never_lets_go_is_not_waited_for) {
  const TemporaryFolder folder;
  const OpenFolder open(folder.path);
  const FileLock first(open, "lock", patience);
  {
    const FileLock second(open, "lock", 20);
    EXPECT_FALSE(second.isHeld());
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "lock")); // still the first one's
}

TEST(FileLock, a_killed_holder_gives_it_up) {
  const TemporaryFolder folder;
  const OpenFolder open(folder.path);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FileLock lock(open, "lock", patience);
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  const FileLock lock(open, "lock", patience); // would wait for ever
  EXPECT_TRUE(lock.isHeld());
  waitpid(child, nullptr, 0);
  close(ready[0]), close(ready[1]);
}

TEST(FileLock, one_who_waits_is_asked_and_may_go) {
  const TemporaryFolder folder;
  const OpenFolder open(folder.path);
  const FileLock first(open, "lock", patience);
  int asked = 0;
  const FileLock second(open, "lock", patience, [&asked] { return ++asked < 3; });
  EXPECT_FALSE(second.isHeld());
  EXPECT_EQ(asked, 3);
}

TEST(FileLock, a_folder_that_cannot_be_written_is_not_waited_for) {
  const OpenFolder open("/proc/self");
  const FileLock lock(open, "lock", patience);
  EXPECT_FALSE(lock.isHeld());
}

} // namespace
} // namespace nysjit
