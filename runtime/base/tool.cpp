// startProgram, and a pidfd to wait with a limit.
#include "runtime/base/tool.h"
#include "runtime/base/descriptor.h"
#include "runtime/base/quiet_write.h"
#include "runtime/base/spawn.h"
#include "runtime/base/temporary_places.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {

namespace {

constexpr const char *wordsFile = "words";
constexpr const char *nameStart = "nysjit-";

/// What setApart puts into names; constant once there are threads.
std::string &namePart() {
  static std::string part;
  return part;
}

/// Removes a folder and the files in it. A link in its place is not followed: others may put names
/// into a folder for temporary files, and what they lead to is not ours.
void removeFolder(const std::string &path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (DIR *open = file < 0 ? nullptr : fdopendir(file)) {
    while (const dirent *entry = readdir(open))
      (void)unlinkat(file, entry->d_name, 0); // "." and ".." refuse
    closedir(open);
  } else if (file >= 0) {
    close(file);
  }
  (void)rmdir(path.c_str());
}

Error failed(const std::string &where, const std::string &what, int number) {
  return Error::plain(ErrorKind::Io, where, where + ": " + what + ": " + std::strerror(number));
}

} // namespace

std::string endingText(int status) {
  if (WIFEXITED(status))
    return "exited with status " + std::to_string(WEXITSTATUS(status));
  const char *name = strsignal(WTERMSIG(status));
  return "was killed by signal " + std::to_string(WTERMSIG(status)) +
         (name ? std::string(" (") + name + ")" : "");
}

Result<ScratchFolder> ScratchFolder::create() {
  int failure = 0;
  for (const char *place : temporaryPlaces()) {
    std::string name = std::string(place) + "/" + nameStart + namePart() + "XXXXXX";
    if (mkdtemp(name.data()))
      return ScratchFolder(std::move(name));
    failure = failure ? failure : errno;
  }
  return failed("TMPDIR", "no folder could be made in it, /tmp, /var/tmp or /dev/shm", failure);
}

ScratchFolder::~ScratchFolder() {
  if (!path.empty())
    removeFolder(path);
}

void ScratchFolder::setApart() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) // no such call here
    number = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) ^
             static_cast<uint64_t>(getpid());
  char text[24];
  std::snprintf(text, sizeof text, "%016" PRIx64 "-", number);
  namePart() = text;
}

void ScratchFolder::removeLeft() {
  if (namePart().empty())
    return;
  for (const char *place : temporaryPlaces()) {
    DIR *open = opendir(place);
    if (!open)
      continue;
    std::vector<std::string> left;
    while (const dirent *entry = readdir(open))
      if (std::string_view(entry->d_name).starts_with(nameStart + namePart()))
        left.push_back(std::string(place) + "/" + entry->d_name);
    closedir(open);
    std::for_each(left.begin(), left.end(), &removeFolder);
  }
}

Status ScratchFolder::write(const std::string &file, std::string_view bytes) const {
  const std::string whole = path + "/" + file;
  const Descriptor open(::open(whole.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!open.isOpen() || !writeQuietly(open.get(), bytes))
    return failed(whole, "could not be written", errno);
  return {};
}

Result<std::string> ScratchFolder::read(const std::string &file) const {
  const std::string whole = path + "/" + file;
  const Descriptor open(::open(whole.c_str(), O_RDONLY | O_CLOEXEC));
  if (!open.isOpen())
    return failed(whole, "could not be read", errno);
  std::string bytes;
  while (true) {
    constexpr size_t step = 1 << 16;
    const size_t done = bytes.size();
    bytes.resize(done + step);
    const ssize_t got = ::read(open.get(), bytes.data() + done, step);
    const int failure = errno;
    bytes.resize(done + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0)
      return bytes;
    if (got < 0 && failure != EINTR)
      return failed(whole, "could not be read", failure);
  }
}

namespace {

/// Waits for a child's end, at most `limitMs`. False: it took longer.
bool awaitEnd(const Started &child, const Descriptor &processFile, int limitMs, int &status) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(limitMs);
  while (waitpid(child.process, &status, WNOHANG) == 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return false;
    constexpr int withoutFileMs = 10;
    pollfd ended = {processFile.get(), POLLIN, 0};
    poll(&ended, 1,
         static_cast<int>(processFile.isOpen() ? left : std::min<int64_t>(left, withoutFileMs)));
  }
  return true;
}

} // namespace

Result<ToolOutcome> runTool(const std::string &path, const std::vector<std::string> &arguments,
                            const ScratchFolder &folder, int limitMs) {
  const std::string words = folder.name() + "/" + wordsFile;
  const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor output(
      open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!nothing.isOpen() || !output.isOpen())
    return failed(path, "has no files", errno);
  std::vector<const char *> argv = {path.c_str()};
  for (const std::string &argument : arguments)
    argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  ProgramToStart program = {path.c_str(), argv.data(), folder.name().c_str()};
  program.files[0] = nothing.get();
  program.files[1] = program.files[2] = output.get();
  program.isChild = true;
  Started started;
  if (const int failure = startProgram(program, started); failure != 0)
    return failed(path, "could not be started", failure);
  const Descriptor processFile(started.processFile);

  // Its end, or the limit's: then of all that it started and left in its group.
  ToolOutcome outcome;
  int status = 0;
  const bool isInTime = awaitEnd(started, processFile, limitMs, status);
  kill(-started.process, SIGKILL);
  while (!isInTime && waitpid(started.process, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.isDone = isInTime && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  outcome.ending =
      isInTime ? endingText(status) : "took longer than " + std::to_string(limitMs) + " ms";
  Result<std::string> text = folder.read(wordsFile);
  NYSJIT_RETURN_IF_ERROR(text);
  outcome.words = std::move(*text);
  return outcome;
}

} // namespace nysjit
