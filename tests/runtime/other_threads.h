// What /proc says of this process's threads.
#pragma once
#include "tests/runtime/temporary_folder.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace nysjit {

/// VALUE of "FIELD:\tVALUE" of each thread but the calling one.
inline std::vector<std::string> otherThreads(const std::string &field) {
  std::vector<std::string> values;
  for (const auto &task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(gettid()))
      continue;
    const std::string status = readAll(task.path() / "status");
    const size_t at = status.find(field + ":\t");
    const size_t value = at + field.size() + 2;
    if (at != std::string::npos)
      values.push_back(status.substr(value, status.find('\n', value) - value));
  }
  return values;
}

/// Waits up to ten seconds for `holds`.
template <typename Condition> bool comesTrue(Condition holds) {
  for (int i = 0; i < 2000; ++i) {
    if (holds())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

/// Waits until each other thread has given itself a name of the library's, which is the last thing
/// it does before it works.
inline bool areOtherThreadsNamed() {
  return comesTrue([] {
    return std::ranges::all_of(otherThreads("Name"),
                               [](const std::string &name) { return name.starts_with("nysjit-"); });
  });
}

/// Waits until there are none; one that was joined is in /proc for a moment more.
inline bool areOtherThreadsGone() {
  return comesTrue([] { return otherThreads("Name").empty(); });
}

} // namespace nysjit
