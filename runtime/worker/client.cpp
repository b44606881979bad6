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
  else
    places = installedPaths({"/", "/../bin/", "/../libexec/"}, workerName);
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

WorkerClient::WorkerClient(std::string executable, int timeoutMs)
    : path(std::move(executable)), timeout(timeoutMs) {}
WorkerClient::~WorkerClient() = default;

WorkerClient::Attempt WorkerClient::attempt(const Message &message) {
  using Clock = std::chrono::steady_clock;
  if (child && !child->isOurs())
    child.reset();
  if (!child) {
    Result<std::unique_ptr<ChildProcess>> started = ChildProcess::start(path, timeout);
    if (!started)
      return {std::nullopt, started.takeError(), ""};
    child = std::move(*started);
  }
  ChildProcess &process = *child;
  process.clearWords();
  const Clock::time_point start = Clock::now();
  Status sent = sendMessage(process.socket(), message);
  Result<Message> reply =
      sent ? receiveMessage(process.socket(), timeout) : Result<Message>(sent.takeError());

  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (!reply && passed >= timeout) {
    process.end(0);
    child.reset();
    return {std::nullopt,
            Error::mismatch(ErrorKind::CompileFailed, "compiler worker",
                            "an answer within " + std::to_string(timeout) + " ms",
                            "none; it was stopped"),
            ""};
  }
  const bool isAnswer = reply && reply->header.is_object() &&
                        reply->header.value("status", nlohmann::json()).is_string();
  const std::string status = isAnswer ? reply->header["status"].get<std::string>() : "";
  if (status == "ok")
    return {std::move(*reply), std::nullopt, ""};
  if (status == "error") {
    Error error = errorFromJson(reply->header.value("error", nlohmann::json::object()));
    return {std::nullopt, std::move(error), ""};
  }
  // Gone, or not speaking the protocol: how it ended says more than the failed read.
  std::string lost = reply ? "answered neither ok nor error" : "";
  const std::string ending = process.end(reply ? 0 : 100);
  if (lost.empty())
    lost = ending + (reply ? "" : " (" + reply.error().message + ")");
  if (const std::string words = process.lastWords(); !words.empty())
    lost += "; its last words: " + words;
  child.reset();
  return {std::nullopt, std::nullopt, lost};
}

Result<Message> WorkerClient::request(const Message &message) {
  const std::lock_guard lock(mutex);
  Attempt result = attempt(message);
  if (!result.reply && !result.error)
    result = attempt(message);
  if (result.reply)
    return std::move(*result.reply);
  if (result.error)
    return std::move(*result.error);
  return Error::mismatch(ErrorKind::CompileFailed, "compiler worker", "an answer",
                         "two workers without one: the last " + result.lost);
}

} // namespace nysjit
