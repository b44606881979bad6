// Counts the distinct words of each bank; the fullest bank is the number of passes.
#include "runtime/emulator/bank_conflicts.h"

#include <algorithm>

namespace nysjit::emulator {

namespace {
/// Passes for at most 32 words: lanes of `mask`, `words` consecutive ones each.
uint32_t passes(const uint32_t *offsets, uint32_t mask, uint32_t words) {
  uint32_t first[32];
  uint32_t used = 0;
  uint32_t worst = 1;
  uint32_t extra[32];
  uint32_t extraCount = 0; // words that are not their bank's first
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t word = offsets[__builtin_ctz(rest)] >> 2;
    for (uint32_t w = 0; w < words; ++w, ++word) {
      uint32_t bank = word & 31;
      if (!(used >> bank & 1)) {
        used |= 1u << bank;
        first[bank] = word;
      } else if (first[bank] != word) {
        extra[extraCount++] = word;
      }
    }
  }
  if (extraCount == 0)
    return 1;
  uint8_t counts[32] = {};
  std::sort(extra, extra + extraCount);
  uint32_t *end = std::unique(extra, extra + extraCount);
  for (uint32_t *word = extra; word < end; ++word)
    worst = std::max<uint32_t>(worst, 1u + ++counts[*word & 31]);
  return worst;
}
} // namespace

uint32_t bankConflicts(const uint32_t *offsets, uint32_t mask, uint32_t bytes) {
  uint32_t words = bytes <= 4 ? 1 : bytes / 4;
  uint32_t lanes = 32 / words;
  uint32_t extra = 0;
  for (uint32_t start = 0; start < 32; start += lanes) {
    uint32_t part = mask >> start & (lanes == 32 ? ~0u : (1u << lanes) - 1);
    if (part)
      extra += passes(offsets + start, part, words) - 1;
  }
  return extra;
}

} // namespace nysjit::emulator
