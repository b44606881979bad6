// A worker's process: started with one end of a socket pair as file 3 and nothing else of the
// host's, killed and waited for when the object goes. Internal to worker/.
#pragma once
#include "runtime/base/result.h"

#include <memory>
#include <string>
#include <sys/types.h>

namespace nysjit {

class ChildProcess {
public:
  /// Standard input is empty; output and errors go to memory that lastWords() reads.
  static Result<std::unique_ptr<ChildProcess>> start(const std::string &executable,
                                                     int sendTimeoutMs);
  ~ChildProcess();
  ChildProcess(const ChildProcess &) = delete;
  ChildProcess &operator=(const ChildProcess &) = delete;

  int socket() const { return socketFile; }
  /// False in a child process that fork() made: the worker is the parent's.
  bool isOurs() const;
  /// Forgets what was written to standard error so far.
  void clearWords();
  /// Waits up to `waitMs` for it to end by itself, then kills it. How it ended, in words: "exited
  /// with status 3", "was killed by signal 9 (Killed)".
  std::string end(int waitMs);
  /// The last lines of its standard error, at most some hundred bytes.
  std::string lastWords() const;

private:
  ChildProcess() = default;
  pid_t owner = 0;
  pid_t child = 0;
  int socketFile = -1;
  int words = -1;
  int processFile = -1; // the last is a pidfd, -1 where the system has none
  std::string ending;   // once waited for
};

} // namespace nysjit
