// The worker's supervisor (supervisor.h) ends it when the socket is shut down; a kill is for what
// does not heed that.
#include "runtime/worker/child.h"
#include "runtime/base/spawn.h"
#include "runtime/worker/supervisor.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// poll of one file, at most `waitMs`, whatever interrupts it. Its events, 0 for none.
short pollFile(int file, short events, int waitMs) noexcept {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(waitMs);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd event = {file, events, 0};
    const int ready = poll(&event, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready >= 0)
      return ready > 0 ? event.revents : 0;
    if (errno != EINTR)
      return POLLERR;
  }
}

constexpr int unknown = -2; // no /proc, or no pidfd
constexpr int reaped = -1;

/// The number of a pidfd's process as /proc shows it, which may be another namespace's.
int shownProcess(int file) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", file);
  const Descriptor info(open(path, O_RDONLY | O_CLOEXEC));
  char text[512] = "";
  if (!info.isOpen() || read(info.get(), text, sizeof text - 1) <= 0)
    return unknown;
  const char *line = std::strstr(text, "\nPid:");
  int number = 0; // another kind of file
  return line && std::sscanf(line, "\nPid: %d", &number) == 1 ? number : 0;
}

} // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::string &executable) {
  const auto failed = [&](const char *what, int number) {
    return Error::plain(number == ENOENT ? ErrorKind::Unavailable : ErrorKind::Io,
                        "compiler worker",
                        std::string("compiler worker: ") + what + " for " + executable + ": " +
                            std::strerror(number));
  };
  std::unique_ptr<ChildProcess> made(new ChildProcess);
  made->owner = getpid();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return failed("no socket", errno);
  made->socketFile = Descriptor(pair[0]);
  const int noNumber = errno;
  const Descriptor theirs(pair[1]);
  if (!made->socketFile.isOpen() || !theirs.isOpen())
    return failed("no socket", made->socketFile.isOpen() ? errno : noNumber);
  const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing.isOpen())
    return failed("no /dev/null", errno);
  made->words = anonymousFile("nysjit-compiler-messages");
  if (!made->words.isOpen() && errno == EMFILE)
    return failed("no file for its messages", errno);
  if (made->words.isOpen())
    fcntl(made->words.get(), F_SETFL, O_APPEND);

  const char *const arguments[] = {executable.c_str(), nullptr};
  const int output = made->words.isOpen() ? made->words.get() : nothing.get();
  ProgramToStart program = {executable.c_str(), arguments};
  program.files[0] = nothing.get();
  program.files[1] = program.files[2] = output;
  program.files[3] = theirs.get();
  Started started;
  if (const int failure = startProgram(program, started); failure != 0)
    return failed("no process", failure);
  made->process = started.process;
  made->processFile = Descriptor(started.processFile);
  made->shownAtStart = shownProcess(made->processFile.get());
  return made;
}

bool ChildProcess::isOurs() const noexcept { return owner == getpid(); }

bool ChildProcess::isUsable() const noexcept {
  return isOurs() && socketFile.isUntouched() &&
         pollFile(socketFile.get(), POLLIN | POLLRDHUP, 0) == 0;
}

void ChildProcess::clearWords() noexcept {
  if (words.isUntouched() && ftruncate(words.get(), 0) != 0)
    words.close(); // then its last words cannot be told from earlier ones
}

/// All pidfds may be one inode, so that isUntouched does not tell them from other files without
/// names: what /proc says of it does, where there is a /proc.
bool ChildProcess::isProcessFile() const noexcept {
  if (!processFile.isUntouched())
    return false;
  const int shown = shownProcess(processFile.get());
  return shown == shownAtStart || shown == reaped || shown == unknown;
}

/// By the pidfd, else by the end of all that it could say.
bool ChildProcess::hasEnded(int waitMs) const noexcept {
  if (processFile.isOpen() && isProcessFile())
    return pollFile(processFile.get(), POLLIN, waitMs) != 0;
  char unread[4096];
  while (socketFile.isUntouched() && pollFile(socketFile.get(), POLLIN, waitMs) != 0)
    if (recv(socketFile.get(), unread, sizeof unread, MSG_DONTWAIT) <= 0)
      return true;
  return !socketFile.isUntouched();
}

void ChildProcess::end(int waitMs) noexcept {
  if (process == 0 || isOver || !isOurs())
    return;
  constexpr int supervisorMs = 2000;
  if (!hasEnded(waitMs)) {
    if (socketFile.isUntouched())
      shutdown(socketFile.get(), processFile.isOpen() ? SHUT_RDWR : SHUT_WR);
    if (!hasEnded(supervisorMs) && isProcessFile())
      syscall(SYS_pidfd_send_signal, processFile.get(), SIGKILL, nullptr, 0);
  }
  // An orphan is adopted; where this process adopts orphans it is a zombie of ours now.
  if (isProcessFile()) {
    siginfo_t info;
    waitid(P_PIDFD, static_cast<id_t>(processFile.get()), &info, WEXITED | WNOHANG);
  }
  isOver = true;
}

std::string ChildProcess::lastWords() const {
  constexpr off_t atMost = 800;
  const off_t size = words.isUntouched() ? lseek(words.get(), 0, SEEK_END) : 0;
  if (size <= 0)
    return "ended";
  const off_t start = size > atMost ? size - atMost : 0;
  std::string text(static_cast<size_t>(size - start), '\0');
  const ssize_t got = pread(words.get(), text.data(), text.size(), start);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (start > 0 && text.find('\n') != std::string::npos) // whole lines only
    text.erase(0, text.find('\n') + 1);
  std::string ending = "ended";
  if (const size_t mark = text.rfind(workerEndMark);
      mark != std::string::npos && (mark == 0 || text[mark - 1] == '\n')) {
    ending = text.substr(mark + std::strlen(workerEndMark));
    ending.erase(std::min(ending.find('\n'), ending.size()));
    text.erase(mark);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text.empty() ? ending : ending + "; its last words: " + text;
}

ChildProcess::~ChildProcess() {
  end(0);
  if (processFile.isOpen() && !isProcessFile())
    processFile.forget();
}

} // namespace nysjit
