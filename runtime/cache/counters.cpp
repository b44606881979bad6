// A line a counter, each of the same width, so that a change is one write in place that no full
// disk can stop:
//   hits                          12
#include "runtime/cache/counters.h"
#include "runtime/base/quiet_write.h"
#include "runtime/cache/publish.h"
#include "runtime/cache/trust.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace nysjit {

namespace {

constexpr const char *countersFile = "counters";

struct Row {
  const char *name;
  uint64_t CacheCounters::*member;
};
constexpr Row rows[] = {
    {"entries", &CacheCounters::entries}, {"bytes", &CacheCounters::bytes},
    {"hits", &CacheCounters::hits},       {"misses", &CacheCounters::misses},
    {"stores", &CacheCounters::stores},   {"evictions", &CacheCounters::evictions},
    {"refused", &CacheCounters::refused},
};
constexpr size_t rowBytes = 32;

std::string toText(const CacheCounters &counters) {
  std::string text;
  for (const Row &row : rows) {
    char line[rowBytes + 1];
    std::snprintf(line, sizeof line, "%-10s %20llu\n", row.name,
                  static_cast<unsigned long long>(counters.*row.member));
    text += line;
  }
  return text;
}

std::optional<CacheCounters> fromText(const std::string &text) {
  CacheCounters counters;
  if (text.size() != rowBytes * std::size(rows))
    return std::nullopt;
  for (size_t i = 0; i < std::size(rows); ++i) {
    const std::string line = text.substr(i * rowBytes, rowBytes - 1);
    const size_t digits = line.find_last_of(' ') + 1;
    const auto [end, error] =
        std::from_chars(line.data() + digits, line.data() + line.size(), counters.*rows[i].member);
    if (!line.starts_with(std::string(rows[i].name) + " ") || error != std::errc() ||
        end != line.data() + line.size())
      return std::nullopt;
  }
  return counters;
}

/// Whether this open file may be read and written: regular, and nobody else's.
bool isOurs(int file) {
  struct stat status;
  return fstat(file, &status) == 0 && S_ISREG(status.st_mode) && whyNotTrusted(status).empty();
}

/// Waits some milliseconds at most: a lost count is no loss.
bool lockSoon(int file) {
  for (int tries = 0; flock(file, LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return true; // no locks here
    if (tries == 20)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

} // namespace

bool isOver(const CacheCounters &size, const CacheLimits &limits) {
  return (limits.entries != 0 && size.entries > limits.entries) ||
         (limits.bytes != 0 && size.bytes > limits.bytes);
}

std::optional<CacheCounters> readCounters(const OpenFolder &folder) {
  OpenFile file(folder.descriptor(), countersFile);
  if (!file.isOpen() || !isOurs(file.descriptor()))
    return std::nullopt;
  const std::optional<std::string> text = file.readAll(4096);
  return text ? fromText(*text) : std::nullopt;
}

bool changeCounters(const OpenFolder &folder, const std::function<void(CacheCounters &)> &change) {
  ScopedFile opened(openat(folder.descriptor(), countersFile,
                           O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
  const int file = opened.number();
  bool isDone = false;
  if (file >= 0 && isOurs(file) && lockSoon(file)) {
    std::string text(rowBytes * std::size(rows), '\0');
    const ssize_t got = pread(file, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    CacheCounters counters = fromText(text).value_or(CacheCounters());
    change(counters);
    text = toText(counters);
    isDone = lseek(file, 0, SEEK_SET) == 0 && writeQuietly(file, text);
    (void)flock(file, LOCK_UN); // a forked child may hold a copy of the open file
  }
  return opened.closeNow() == 0 && isDone;
}

} // namespace nysjit
