// posix_spawn and a pidfd: with it the process stays the one that was started even if the host
// reaps our children.
#include "runtime/worker/child.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" { // glibc 2.36's header forgets to say so
#include <sys/pidfd.h>
}

extern char **environ;

namespace nysjit {

namespace {

void closeFile(int &file) {
  if (file >= 0)
    close(file);
  file = -1;
}

/// The same file under a number that no standard stream and no file 3 can collide with.
int movedAway(int file) {
  const int moved = fcntl(file, F_DUPFD_CLOEXEC, 10);
  close(file);
  return moved;
}

struct SpawnPlan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

std::string endingText(const siginfo_t &info) {
  if (info.si_code == CLD_EXITED)
    return "exited with status " + std::to_string(info.si_status);
  const char *name = strsignal(info.si_status);
  return "was killed by signal " + std::to_string(info.si_status) +
         (name ? std::string(" (") + name + ")" : "");
}

} // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::string &executable,
                                                          int sendTimeoutMs) {
  const auto failed = [&](const char *what, int number) {
    return Error::plain(number == ENOENT ? ErrorKind::Unavailable : ErrorKind::Io,
                        "compiler worker",
                        std::string("compiler worker: ") + what + " for " + executable + ": " +
                            std::strerror(number));
  };
  std::unique_ptr<ChildProcess> process(new ChildProcess);
  process->owner = getpid();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return failed("no socket", errno);
  process->socketFile = movedAway(pair[0]);
  int theirs = movedAway(pair[1]);
  process->words = memfd_create("nysjit-compiler-messages", MFD_CLOEXEC);
  if (process->words >= 0) {
    process->words = movedAway(process->words);
    fcntl(process->words, F_SETFL, O_APPEND);
  }
  if (process->socketFile < 0 || theirs < 0) {
    const int number = errno;
    closeFile(theirs);
    return failed("no file", number);
  }
  // A worker that stops reading must not stop the host.
  const timeval limit = {sendTimeoutMs / 1000, sendTimeoutMs % 1000 * 1000};
  setsockopt(process->socketFile, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);

  SpawnPlan plan;
  posix_spawn_file_actions_addopen(&plan.actions, 0, "/dev/null", O_RDONLY, 0);
  if (process->words >= 0)
    posix_spawn_file_actions_adddup2(&plan.actions, process->words, 2);
  else
    posix_spawn_file_actions_addopen(&plan.actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, 2, 1);
  posix_spawn_file_actions_adddup2(&plan.actions, theirs, 3);
  posix_spawn_file_actions_addclosefrom_np(&plan.actions, 4);
  // Its own process group: an interrupt typed at the host's terminal is the host's to handle.
  // Default signals, none blocked.
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  posix_spawnattr_setpgroup(&plan.attributes, 0);
  posix_spawnattr_setflags(&plan.attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  char *const arguments[] = {const_cast<char *>(executable.c_str()), nullptr};
  const int spawned = posix_spawn(&process->child, executable.c_str(), &plan.actions,
                                  &plan.attributes, arguments, environ);
  closeFile(theirs);
  if (spawned != 0) {
    process->child = 0;
    return failed("no process", spawned);
  }
  process->processFile = pidfd_open(process->child, 0);
  return process;
}

bool ChildProcess::isOurs() const { return owner == getpid(); }

void ChildProcess::clearWords() {
  if (words >= 0 && ftruncate(words, 0) != 0)
    closeFile(words); // then its last words cannot be told from earlier ones
}

std::string ChildProcess::end(int waitMs) {
  if (child == 0 || !isOurs())
    return ending;
  if (processFile >= 0) {
    pollfd ended = {processFile, POLLIN, 0};
    if (poll(&ended, 1, waitMs) <= 0)
      pidfd_send_signal(processFile, SIGKILL, nullptr, 0);
  } else {
    kill(child, SIGKILL);
  }
  siginfo_t info = {};
  int waited;
  while ((waited = processFile >= 0
                       ? waitid(P_PIDFD, static_cast<id_t>(processFile), &info, WEXITED)
                       : waitid(P_PID, static_cast<id_t>(child), &info, WEXITED)) != 0 &&
         errno == EINTR) {
  }
  ending = waited == 0 ? endingText(info) : "ended";
  child = 0;
  return ending;
}

std::string ChildProcess::lastWords() const {
  constexpr off_t atMost = 800;
  const off_t size = words >= 0 ? lseek(words, 0, SEEK_END) : 0;
  if (size <= 0)
    return "";
  const off_t start = size > atMost ? size - atMost : 0;
  std::string text(static_cast<size_t>(size - start), '\0');
  const ssize_t got = pread(words, text.data(), text.size(), start);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (start > 0 && text.find('\n') != std::string::npos) // whole lines only
    text.erase(0, text.find('\n') + 1);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text;
}

ChildProcess::~ChildProcess() {
  closeFile(socketFile); // what a worker between requests takes as the end
  end(0);
  closeFile(words);
  closeFile(processFile);
}

} // namespace nysjit
