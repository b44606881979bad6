// A worker's process: started with one end of a socket pair as file 3 and nothing else of the
// host's, as nobody's child, and ended when the object goes. Internal to worker/.
#pragma once
#include "runtime/base/descriptor.h"
#include "runtime/base/result.h"

#include <memory>
#include <string>
#include <sys/types.h>

namespace nysjit {

class ChildProcess {
public:
  /// Standard input is empty; output and errors go to a file that lastWords() reads.
  static Result<std::unique_ptr<ChildProcess>> start(const std::string &executable);
  ~ChildProcess();
  ChildProcess(const ChildProcess &) = delete;
  ChildProcess &operator=(const ChildProcess &) = delete;

  int socket() const { return socketFile.get(); }
  /// Whether it may be asked: it is this process's (in a child that fork() made it is the
  /// parent's), the host has not closed its socket, and it has not ended.
  bool isUsable() const noexcept;
  /// Forgets what was written to standard error so far.
  void clearWords() noexcept;
  /// Waits up to `waitMs` for it to end by itself, then has it end.
  void end(int waitMs) noexcept;
  /// What it last said: how it ended ("was killed by signal 9 (Killed)", "ended" where nobody
  /// says), and if it said more, its last lines, at most some hundred bytes.
  std::string lastWords() const;

private:
  ChildProcess() = default;
  bool isOurs() const noexcept;
  bool isProcessFile() const noexcept;
  bool hasEnded(int waitMs) const noexcept;
  pid_t owner = 0;
  pid_t process = 0;
  bool isOver = false; // ended
  Descriptor socketFile;
  Descriptor words;
  Descriptor processFile; // a pidfd, where the system has them
  int shownAtStart = 0;   // its process in /proc
};

} // namespace nysjit
