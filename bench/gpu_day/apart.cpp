// The parent watches how far its child is in a page that both see.
#include "bench/gpu_day/apart.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nysjit::gpu_day {

namespace {

constexpr int contextLost = 75; // exit codes of the child
constexpr int notOpened = 76;
constexpr double openSeconds = 30;
constexpr double dyingSeconds = 5; // what a killed process may need until it is gone

struct Progress {
  std::atomic<size_t> current; // the case that runs
  std::atomic<bool> isOpen;
};

/// In the child: every case from `first` on.
int runFrom(const Options &options, const Records &records, const Cases &cases, size_t first,
            Progress &progress) {
  Result<std::unique_ptr<Session>> session = Session::open(options);
  if (!session) {
    records.failed("opening the device", session.error());
    return notOpened;
  }
  progress.isOpen = true;
  for (size_t i = first; i < cases.count; ++i) {
    progress.current = i;
    records.add("begin", {{"case", cases.name(i)}});
    const Status status = cases.run(**session, i);
    if (status)
      continue;
    records.failed(cases.name(i), status.error());
    if ((*session)->isLost())
      return contextLost;
  }
  return 0;
}

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Waits for the child, `limit` seconds a case; "" when it exited with `code`, else how it ended.
std::string waitFor(pid_t child, const Progress &progress, double limit, int &code) {
  size_t seen = progress.current;
  bool wasOpen = false;
  auto since = std::chrono::steady_clock::now();
  bool isKilled = false;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (progress.current != seen || progress.isOpen != wasOpen) {
      seen = progress.current;
      wasOpen = progress.isOpen;
      since = std::chrono::steady_clock::now();
    }
    if (isKilled && secondsSince(since) > dyingSeconds)
      return "hung, and could not be killed";
    if (!isKilled && secondsSince(since) > (wasOpen ? limit : openSeconds)) {
      isKilled = true;
      since = std::chrono::steady_clock::now();
      (void)kill(child, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (isKilled)
    return "killed after " + std::to_string(static_cast<int>(wasOpen ? limit : openSeconds)) +
           " s without an end";
  if (WIFSIGNALED(status))
    return std::string("crashed: ") + strsignal(WTERMSIG(status));
  return "";
}

/// A child of its own for the cases from `first` on.
pid_t start(const Options &options, const Records &records, const Cases &cases, size_t first,
            Progress &progress) {
  progress.current = first;
  progress.isOpen = false;
  const pid_t child = fork();
  if (child != 0)
    return child;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = 1;
  try {
    code = runFrom(options, records, cases, first, progress);
  } catch (const std::exception &caught) {
    records.failed(cases.name(progress.current),
                   Error::plain(ErrorKind::Io, "exception", caught.what()));
    code = contextLost;
  }
  fflush(nullptr);
  _exit(code);
}

} // namespace

Status runApart(const Options &options, const Records &records, const Cases &cases) {
  void *page =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return Error::plain(ErrorKind::Io, "mmap", std::strerror(errno));
  auto &progress = *new (page) Progress{};
  for (size_t next = 0; next < cases.count; next = progress.current + 1) {
    const pid_t child = start(options, records, cases, next, progress);
    if (child < 0)
      return Error::plain(ErrorKind::Io, "fork", std::strerror(errno));
    int code = 0;
    const std::string ending = waitFor(child, progress, options.caseSeconds, code);
    if (!progress.isOpen)
      return Error::plain(ErrorKind::Unavailable, "device",
                          "the device could not be opened" + (ending.empty() ? "" : ": " + ending));
    if (ending.empty() && code != contextLost)
      break;
    if (!ending.empty())
      records.failed(cases.name(progress.current),
                     Error::plain(ErrorKind::CheckFailed, "case", ending));
  }
  return {};
}

} // namespace nysjit::gpu_day
