// WorkerClient: starts the compiler worker, sends it requests over wire.h and keeps it for the next
// one. The worker may crash, be killed, hang or talk nonsense: it costs a retry or an Error, never
// the host process, and leaves no zombie.
#pragma once
#include "runtime/base/log.h"
#include "runtime/base/progress.h"
#include "runtime/base/result.h"
#include "runtime/worker/wire.h"

#include <memory>
#include <mutex>
#include <string>

namespace nysjit {

class ChildProcess;

/// The worker's executable: `given`, else $NYSJIT_COMPILER, else nysjit-compiler beside this
/// library or the running executable, or in ../bin, ../libexec or ../../libexec from there.
/// Unavailable, with the places looked at, if there is none.
Result<std::string> findWorker(const std::string &given);

/// $NYSJIT_COMPILE_TIMEOUT_MS, else 120000. InvalidArgument if the variable is no positive number.
Result<int> compileTimeoutMs();

/// Any number of threads may ask; one request is served at a time. After fork() the child starts a
/// worker of its own.
class WorkerClient {
public:
  WorkerClient(std::string executable, int timeoutMs, Log log = {});
  ~WorkerClient(); // ends the worker

  /// Sends a request and waits for its reply: a frame whose header says "ok". An error reply
  /// becomes its Error. A worker that dies or cannot be understood is replaced once, with a line in
  /// the log; the second time, or past the time limit, it is CompileFailed. Cancelled as soon as
  /// `progress` asks for the end, and the worker with it.
  Result<Message> request(const Message &message, const Progress &progress = {});

private:
  struct Attempt;
  Attempt attempt(const Message &message, const Progress &progress);

  std::string path;
  int timeout;
  Log log;
  std::timed_mutex mutex;
  std::unique_ptr<ChildProcess> child; // null until the first request and after a failure
};

} // namespace nysjit
