// One request: an attempt with the worker that is there or a new one; if that worker was lost, a
// second with a new one.
#include "runtime/worker/client.h"
#include "runtime/base/environment.h"
#include "runtime/base/installed_paths.h"
#include "runtime/worker/child.h"

#include <chrono>
#include <climits>
#include <cstdlib>
#include <vector>

namespace nysjit {

namespace {

constexpr const char *workerName = "nysjit-compiler";

} // namespace

Result<std::string> findWorker(const std::string &given) {
  const std::string set = environmentSetting("NYSJIT_COMPILER");
  std::vector<std::string> places;
  if (!given.empty())
    places = {given};
  else if (!set.empty())
    places = {set};
  else {
    Result<std::vector<std::string>> installed =
        installedPaths({"/", "/../bin/", "/../libexec/", "/../../libexec/"}, workerName);
    NYSJIT_RETURN_IF_ERROR(installed);
    places = std::move(*installed);
  }
  for (const std::string &place : places)
    if (isExecutableFile(place))
      return place;
  return Error::mismatch(ErrorKind::Unavailable, "compiler",
                         std::string("the executable ") + workerName +
                             " (or its path in NYSJIT_COMPILER)",
                         "none at " + joined(places));
}

Result<int> compileTimeoutMs() {
  Result<std::optional<int64_t>> set = environmentNumber("NYSJIT_COMPILE_TIMEOUT_MS", 1, INT_MAX);
  NYSJIT_RETURN_IF_ERROR(set);
  return static_cast<int>(set->value_or(120000));
}

/// What became of one attempt. A reply, or an Error that settles it, or why the worker was lost.
struct WorkerClient::Attempt {
  std::optional<Message> reply;
  std::optional<Error> error;
  std::string lost;
};

WorkerClient::WorkerClient(std::string executable, int timeoutMs, Log where)
    : path(std::move(executable)), timeout(timeoutMs), log(where) {}
WorkerClient::~WorkerClient() = default;

WorkerClient::Attempt WorkerClient::attempt(const Message &message, const Progress &progress) {
  using Clock = std::chrono::steady_clock;
  // Whatever goes wrong from here on, a lack of memory included, the worker is in the middle of
  // something and not asked again.
  std::unique_ptr<ChildProcess> process = std::move(child);
  if (process && !process->isUsable()) // ended as idle, or not ours
    process.reset();
  if (!process) {
    Result<std::unique_ptr<ChildProcess>> started = ChildProcess::start(path);
    if (!started)
      return {std::nullopt, started.takeError(), ""};
    process = std::move(*started);
  } else {
    process->clearWords(); // of the request before; a new one may have had its say already
  }
  const Clock::time_point start = Clock::now();
  Status sent = sendMessage(process->socket(), message, timeout);
  Result<Message> reply = sent ? receiveMessage(process->socket(), timeout, &progress)
                               : Result<Message>(sent.takeError());

  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (!reply && reply.error().kind == ErrorKind::Cancelled)
    return {std::nullopt, reply.takeError(), ""};
  if (!reply && passed >= timeout)
    return {std::nullopt,
            Error::mismatch(ErrorKind::CompileFailed, "compiler worker",
                            "an answer within " + std::to_string(timeout) + " ms",
                            "none; it was stopped"),
            ""};
  const Json *said = reply ? reply->header.find("status") : nullptr;
  const std::string status = said && said->is_string() ? said->text() : "";
  if (status == "ok") {
    child = std::move(process);
    return {std::move(*reply), std::nullopt, ""};
  }
  if (status == "error") {
    const Json *what = reply->header.find("error");
    Error error = errorFromJson(what ? *what : Json());
    child = std::move(process);
    return {std::nullopt, std::move(error), ""};
  }
  // Gone, or not speaking the protocol: how it ended says more than the failed read.
  constexpr int lastWordsMs = 100; // they are there when the stream ends
  process->end(reply ? 0 : lastWordsMs);
  if (reply)
    return {std::nullopt, std::nullopt, "answered neither ok nor error"};
  return {std::nullopt, std::nullopt, process->lastWords() + " (" + reply.error().message + ")"};
}

Result<Message> WorkerClient::request(const Message &message, const Progress &progress) {
  std::unique_lock lock(mutex, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(Progress::stepMs)))
    NYSJIT_RETURN_IF_ERROR(progress.go("wait"));
  Attempt result = attempt(message, progress);
  if (!result.reply && !result.error) {
    log.line("compiler worker: started again after it " + result.lost);
    result = attempt(message, progress);
  }
  if (result.reply)
    return std::move(*result.reply);
  if (result.error)
    return std::move(*result.error);
  return Error::mismatch(ErrorKind::CompileFailed, "compiler worker", "an answer",
                         "two workers without one: the last " + result.lost);
}

} // namespace nysjit
