// OutputFile: what it makes of links, modes, owners, pipes and folders that may not be written.
#include "runtime/cli/files.h"
#include "tests/cli/command.h"

#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace nysjit;
using namespace nysjit::cli;

namespace fs = std::filesystem;

namespace {

constexpr uid_t nobody = 65534;

class OutputFiles : public CommandTest {
protected:
  /// "" or the message.
  std::string put(const std::string &name, const std::string &bytes = "new") {
    Result<OutputFile> file = OutputFile::create("-o", folder / name);
    if (!file)
      return file.error().message;
    const Status written = file->write(bytes);
    return written ? "" : written.error().message;
  }
  mode_t modeOf(const std::string &name) {
    struct stat status = {};
    EXPECT_EQ(stat((folder / name).c_str(), &status), 0);
    return status.st_mode & 0777;
  }
  size_t files() {
    return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  /// Runs `body` in a process of a user who is not root: 0 true, 1 false, 2 such a user cannot be
  /// had here.
  static int asUser(const std::function<bool()> &body) {
    const pid_t child = fork();
    if (child == 0) {
      if (geteuid() == 0 && (setgid(nobody) != 0 || setuid(nobody) != 0))
        _exit(2);
      _exit(body() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
};

TEST_F(OutputFiles, ALinkStaysAndWhatItNamesIsWritten) {
  write("real", "old");
  for (const auto &[link, target] :
       {std::pair("to_file", "real"), {"dangling", "not_there_yet"}, {"to_link", "dangling"}}) {
    fs::create_symlink(target, folder / link);
    EXPECT_EQ(put(link), "");
    EXPECT_EQ(fs::read_symlink(folder / link), target);
    EXPECT_FALSE(fs::is_symlink(folder / "not_there_yet"));
    EXPECT_EQ(read(target), "new") << link;
  }
  fs::create_directory(folder / "sub");
  fs::create_symlink("other", folder / "sub/link"); // relative to its own folder
  EXPECT_EQ(put("sub/link"), "");
  EXPECT_EQ(read("sub/other"), "new");
}

TEST_F(OutputFiles, LinksThatLeadNowhereAreErrors) {
  fs::create_symlink("absent/file", folder / "no_folder");
  fs::create_symlink("round", folder / "circle");
  fs::create_symlink("circle", folder / "round");
  const size_t before = files();
  EXPECT_NE(put("no_folder").find("No such file"), std::string::npos) << put("no_folder");
  EXPECT_NE(put("circle").find("levels of symbolic links"), std::string::npos) << put("circle");
  EXPECT_EQ(files(), before);
}

TEST_F(OutputFiles, AFileKeepsItsModeAndANewOneFollowsTheUmask) {
  for (const mode_t mode : {0600, 0644, 0666, 0755, 0640}) {
    write("file", "old");
    fs::permissions(folder / "file", fs::perms(mode));
    EXPECT_EQ(put("file"), "");
    EXPECT_EQ(read("file"), "new");
    EXPECT_EQ(modeOf("file"), mode);
  }
  for (const mode_t mask : {0022, 0077, 0002}) {
    fs::remove(folder / "new");
    const mode_t before = umask(mask);
    EXPECT_EQ(put("new"), "");
    umask(before);
    EXPECT_EQ(modeOf("new"), 0666 & ~mask);
  }
}

TEST_F(OutputFiles, OtherNamesOfAFileStayItsNames) {
  write("file", "old and longer");
  fs::create_hard_link(folder / "file", folder / "other");
  EXPECT_EQ(put("file"), "");
  EXPECT_EQ(read("other"), "new");
  EXPECT_EQ(fs::hard_link_count(folder / "file"), 2u);
}

TEST_F(OutputFiles, ALongNameIsNoObstacle) {
  const std::string name(250, 'x');
  EXPECT_EQ(put(name), "");
  EXPECT_EQ(put(name, "again"), "");
  EXPECT_EQ(read(name), "again");
}

TEST_F(OutputFiles, PipesAndDevicesAreWrittenInPlace) {
  EXPECT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = read("fifo"); });
  EXPECT_EQ(put("fifo"), "");
  reader.join();
  EXPECT_EQ(got, "new");
  EXPECT_TRUE(fs::is_fifo(folder / "fifo"));
  Result<OutputFile> null = OutputFile::create("-o", "/dev/null");
  ASSERT_TRUE(null.ok());
  EXPECT_TRUE(null->write("new").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(OutputFiles, AnOpenDescriptorsFileIsWrittenNotReplaced) {
  write("file", "old and longer");
  const int descriptor = open((folder / "file").c_str(), O_RDWR);
  Result<OutputFile> file = OutputFile::create("-o", "/dev/fd/" + std::to_string(descriptor));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_TRUE(file->write("new").ok());
  char bytes[16];
  EXPECT_EQ(pread(descriptor, bytes, sizeof bytes, 0), 3);
  close(descriptor);
  EXPECT_EQ(read("file"), "new");
}

TEST_F(OutputFiles, AFileInAFolderThatMayNotBeWritten) {
  if (asUser([] { return true; }) == 2)
    GTEST_SKIP() << "skipped, root cannot become another user here";
  fs::create_directory(folder / "closed");
  write("closed/open", "old and longer");
  write("closed/shut", "old");
  fs::permissions(folder / "closed/open", fs::perms(0666));
  fs::permissions(folder / "closed/shut", fs::perms(0444));
  fs::permissions(folder, fs::perms(0755));
  fs::permissions(folder / "closed", fs::perms(0555));
  EXPECT_EQ(asUser([&] { return put("closed/open").empty(); }), 0);
  EXPECT_EQ(asUser([&] { return put("closed/shut").find("Permission") != std::string::npos; }), 0);
  EXPECT_EQ(asUser([&] { return put("closed/new").find("Permission") != std::string::npos; }), 0);
  fs::permissions(folder / "closed", fs::perms(0755));
  EXPECT_EQ(read("closed/open"), "new");
  EXPECT_EQ(read("closed/shut"), "old");
}

TEST_F(OutputFiles, AnotherOwnersFileStaysHis) {
  if (geteuid() != 0)
    GTEST_SKIP() << "skipped, only root can make a file of another user";
  if (asUser([] { return true; }) == 2)
    GTEST_SKIP() << "skipped, root cannot become another user here";
  fs::permissions(folder, fs::perms(01777)); // as /tmp is
  write("file", "old and longer");
  fs::permissions(folder / "file", fs::perms(0666));
  EXPECT_EQ(asUser([&] { return put("file").empty(); }), 0);
  EXPECT_EQ(read("file"), "new");
  struct stat status = {};
  ASSERT_EQ(stat((folder / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0u);
  if (chown((folder / "file").c_str(), nobody, nobody) != 0)
    GTEST_SKIP() << "skipped from here on, root cannot give a file away";
  EXPECT_EQ(put("file", "root's"), "");
  ASSERT_EQ(stat((folder / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, nobody);
  EXPECT_EQ(read("file"), "root's");
}

TEST_F(OutputFiles, AFullDeviceIsTheMachinesFault) {
  Result<OutputFile> full = OutputFile::create("-o", "/dev/full");
  if (!full)
    GTEST_SKIP() << "skipped, no /dev/full";
  const Status written = full->write("new");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().kind, ErrorKind::Io);
}

} // namespace
