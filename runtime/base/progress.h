// Progress: what a wait for a compile tells the host, and how the host ends it.
#pragma once
#include "runtime/base/result.h"

#include <chrono>
#include <cstdint>

namespace nysjit {

/// One call's waits. Copies share the start.
class Progress {
public:
  /// Not 0: to be ended.
  using Report = int32_t (*)(void *context, const char *stage, double elapsedMs);
  /// How often the host is asked.
  static constexpr int stepMs = 100;

  Progress() = default; // asks nobody
  Progress(Report report, void *context) : report(report), context(context) {}

  bool isWatched() const { return report != nullptr; }
  /// Asks the host; Cancelled if it wants the end.
  Status go(const char *stage) const {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    if (report && report(context, stage, passed.count()) != 0)
      return Error::plain(ErrorKind::Cancelled, "compile", "compile: the host cancelled it");
    return {};
  }

private:
  Report report = nullptr;
  void *context = nullptr;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

} // namespace nysjit
