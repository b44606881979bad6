// What the targets of this folder share. A target is LLVMFuzzerTestOneInput over one parser's
// input; libFuzzer drives it in the `fuzz` preset, replay.cpp over the corpus in every other build.
//
// Beside memory errors and undefined behaviour, which the sanitizers see, targets check properties:
// what was read and written again reads the same, and an error says where.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

namespace nysjit::fuzz {

/// Ends the process, so that the input is kept, unless `holds`.
inline void require(bool holds, const std::string &sentence) {
  if (holds)
    return;
  std::fprintf(stderr, "property does not hold: %s\n", sentence.c_str());
  std::abort();
}

/// An error names its place and says something.
inline void requireNamed(const Error &error) {
  require(!error.where.empty(), "an error has a place: " + error.message);
  require(!error.message.empty(), "an error at " + error.where + " has a message");
}

inline std::string_view textOf(const uint8_t *bytes, size_t count) {
  return {reinterpret_cast<const char *>(bytes), count};
}

/// Numbers out of an input's bytes, then zeros.
class Bytes {
public:
  explicit Bytes(std::string_view left) : left(left) {}
  uint8_t byte() {
    if (left.empty())
      return 0;
    const uint8_t first = static_cast<uint8_t>(left[0]);
    left.remove_prefix(1);
    return first;
  }
  /// Mostly small; else near the ends of 32 and 64 bits, or anything.
  int64_t number() {
    const uint8_t kind = byte();
    if (kind < 200)
      return kind % 40;
    constexpr int64_t edges[] = {INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN, -1, int64_t(1) << 40};
    if (kind < 230)
      return static_cast<int64_t>(static_cast<uint64_t>(edges[kind % 6]) - (kind & 1));
    uint64_t all = 0;
    for (int i = 0; i < 8; ++i)
      all = all << 8 | byte();
    return static_cast<int64_t>(all);
  }

private:
  std::string_view left;
};

} // namespace nysjit::fuzz
