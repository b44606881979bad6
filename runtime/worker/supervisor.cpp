// fork, PR_SET_CHILD_SUBREAPER so that what the worker leaves behind is ours, and /proc to find it.
#include "runtime/worker/supervisor.h"
#include "runtime/base/tool.h"
#include "runtime/worker/idle.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// The parent of a process, by /proc; 0 if it is not known.
pid_t parentOf(const char *process) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%.20s/stat", process);
  FILE *file = std::fopen(path, "r");
  if (!file)
    return 0;
  char text[512] = "";
  const size_t got = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[got] = '\0';
  const char *name = std::strrchr(text, ')'); // the name may hold anything
  int parent = 0;
  return name && std::sscanf(name + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/// Kills and reaps all children until there are none. What they leave behind comes to this process
/// in turn.
void endChildren() {
  while (waitpid(-1, nullptr, WNOHANG) >= 0) {
    bool isAny = false;
    if (DIR *processes = opendir("/proc")) {
      while (const dirent *entry = readdir(processes))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            parentOf(entry->d_name) == getpid())
          isAny = kill(std::atoi(entry->d_name), SIGKILL) == 0 || isAny;
      closedir(processes);
    }
    if (!isAny || waitpid(-1, nullptr, 0) < 0) // none to be found: there is no /proc
      return;
  }
}

void sayEnding(int status) {
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    dprintf(2, "\n%s%s\n", workerEndMark, endingText(status).c_str());
}

[[noreturn]] void watch(pid_t worker, int socket) {
  const int file = static_cast<int>(syscall(SYS_pidfd_open, worker, 0));
  bool isAsked = false;
  int status = 0;
  while (waitpid(worker, &status, WNOHANG) == 0) {
    pollfd events[] = {{isAsked ? -1 : socket, POLLRDHUP, 0}, {file, POLLIN, 0}};
    constexpr int withoutFileMs = 10;
    if (poll(events, 2, file >= 0 ? -1 : withoutFileMs) > 0 && events[0].revents != 0) {
      isAsked = true;
      kill(worker, SIGKILL);
    }
  }
  if (!isAsked)
    sayEnding(status);
  endChildren();
  ScratchFolder::removeLeft();
  _exit(0);
}

} // namespace

void superviseWorker(int socket) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ScratchFolder::setApart();
  const pid_t supervisor = getpid();
  const pid_t worker = fork();
  if (worker > 0)
    watch(worker, socket);
  if (worker == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != supervisor)
      _exit(1);
  }
}

bool awaitRequest(int socket, bool isFirst) {
  const Result<int> set = workerIdleMs();
  const int idleMs = set ? *set : defaultWorkerIdleMs;
  pollfd event = {socket, POLLIN, 0};
  int ready;
  while ((ready = poll(&event, 1, isFirst ? std::max(idleMs, defaultWorkerIdleMs) : idleMs)) < 0 &&
         errno == EINTR) {
  }
  return ready > 0;
}

} // namespace nysjit
