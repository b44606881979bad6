// One line on stderr when something takes more than a second, and its time when it is done.
#pragma once
#include "runtime/base/log.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace nysjit::cli {

/// Lives as long as the work. `what` completes "nysjit: ...", e.g. "compiling causal for
/// cpu:native".
class Progress {
public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

private:
  void watch();
  std::string what;
  std::chrono::steady_clock::time_point start;
  std::mutex mutex;
  std::condition_variable condition;
  bool isDone = false;
  bool isShown = false;
  std::thread watcher;
};

/// The library's log on stderr: "nysjit: LINE".
Log standardErrorLog();

} // namespace nysjit::cli
