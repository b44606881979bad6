// posix_spawn, and a pidfd to wait with a limit.
#include "runtime/base/tool.h"
#include "runtime/base/environment.h"
#include "runtime/base/installed_paths.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" { // glibc 2.36's header forgets to say so
#include <sys/pidfd.h>
}

extern char **environ;

namespace nysjit {

namespace {

constexpr const char *wordsFile = "words";

Error failed(const std::string &where, const std::string &what, int number) {
  return Error::plain(ErrorKind::Io, where, where + ": " + what + ": " + std::strerror(number));
}

std::string endingText(int status) {
  if (WIFEXITED(status))
    return "exited with status " + std::to_string(WEXITSTATUS(status));
  const char *name = strsignal(WTERMSIG(status));
  return "was killed by signal " + std::to_string(WTERMSIG(status)) +
         (name ? std::string(" (") + name + ")" : "");
}

} // namespace

Result<ScratchFolder> ScratchFolder::create() {
  const std::string set = environmentSetting("TMPDIR");
  for (const std::string &place : {set, std::string("/tmp")}) {
    std::string name = place + "/nysjit-XXXXXX";
    if (!place.empty() && mkdtemp(name.data()))
      return ScratchFolder(std::move(name));
  }
  return failed("TMPDIR", "no folder could be made in it or in /tmp", errno);
}

ScratchFolder::~ScratchFolder() {
  if (path.empty())
    return;
  if (DIR *open = opendir(path.c_str())) {
    while (const dirent *file = readdir(open))
      (void)unlinkat(dirfd(open), file->d_name, 0); // "." and ".." refuse
    closedir(open);
  }
  (void)rmdir(path.c_str());
}

Status ScratchFolder::write(const std::string &file, const std::string &bytes) const {
  std::ofstream stream(path + "/" + file, std::ios::binary);
  stream << bytes;
  stream.close();
  return stream ? Status() : failed(path + "/" + file, "could not be written", errno);
}

Result<std::string> ScratchFolder::read(const std::string &file) const {
  std::ifstream stream(path + "/" + file, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(stream), {});
  if (!stream && !stream.eof())
    return failed(path + "/" + file, "could not be read", errno);
  return bytes;
}

Result<ToolOutcome> runTool(const std::string &path, const std::vector<std::string> &arguments,
                            const ScratchFolder &folder, int limitMs) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  const std::string words = folder.name() + "/" + wordsFile;
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, words.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawn_file_actions_addchdir_np(&actions, folder.name().c_str());
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0); // so that what it starts can be killed with it
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char *> argv = {const_cast<char *>(path.c_str())};
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int spawned =
      posix_spawn(&child, path.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (spawned != 0)
    return failed(path, "could not be started", spawned);

  // Its end, or the limit's.
  ToolOutcome outcome;
  const int processFile = pidfd_open(child, 0);
  pollfd ended = {processFile, POLLIN, 0};
  int polled = 1;
  while (processFile >= 0 && (polled = poll(&ended, 1, limitMs)) < 0 && errno == EINTR) {
  }
  if (polled == 0)
    kill(-child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (processFile >= 0)
    close(processFile);
  outcome.isDone = polled != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  outcome.ending =
      polled == 0 ? "took longer than " + std::to_string(limitMs) + " ms" : endingText(status);
  Result<std::string> text = folder.read(wordsFile);
  NYSJIT_RETURN_IF_ERROR(text);
  outcome.words = std::move(*text);
  return outcome;
}

} // namespace nysjit
