// A thread waits for a second; if the work is done by then it says nothing.
#include "runtime/cli/progress.h"

#include <cstdio>
#include <system_error>

namespace nysjit::cli {

Progress::Progress(std::string what)
    : what(std::move(what)), start(std::chrono::steady_clock::now()) {
  try {
    watcher = std::thread([this] { watch(); });
  } catch (const std::system_error &) {
    // No thread to be had: then there is no progress to see.
  }
}

Progress::~Progress() {
  {
    std::lock_guard lock(mutex);
    isDone = true;
  }
  condition.notify_all();
  if (watcher.joinable())
    watcher.join();
  if (isShown) {
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::fprintf(stderr, "nysjit: %s took %.1f s\n", what.c_str(), took.count());
  }
}

void Progress::watch() {
  std::unique_lock lock(mutex);
  if (condition.wait_for(lock, std::chrono::seconds(1), [this] { return isDone; }))
    return;
  isShown = true;
  std::fprintf(stderr, "nysjit: %s ...\n", what.c_str());
}

Log standardErrorLog() {
  return {[](void *, const char *line) { std::fprintf(stderr, "nysjit: %s\n", line); }, nullptr};
}

} // namespace nysjit::cli
