// A cache entry's bytes: as they are, and with the checksum and the first words that they should
// have, so that what lies behind them is reached too.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/cache/disk_cache.h"
#include "runtime/cache/key.h"
#include "tests/fuzz/property.h"

using namespace nysjit;
using namespace nysjit::fuzz;

namespace {

void check(std::string_view bytes) {
  const std::optional<CacheEntry> entry = entryFromBytes(bytes);
  if (!entry)
    return;
  require(entryToBytes(*entry) == bytes, "an entry is written as it was read");
  for (const char *word : {"spec", "config", "target", "cpu", "compiler"})
    require(keyTextLine(entry->keyText, word).size() <= entry->keyText.size(), "a line is a part");
}

/// The same with the checksum that it should have.
void checkSummed(std::string bytes) {
  XXH128_canonical_t sum;
  XXH128_canonicalFromHash(&sum, XXH3_128bits(bytes.data(), bytes.size()));
  check(bytes.append(reinterpret_cast<const char *>(sum.digest), sizeof sum.digest));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  std::string text(textOf(bytes, count));
  check(text);
  checkSummed(text);
  // And with a whole entry's first words: which format it is, and how many sections.
  constexpr size_t words = 16;
  const std::string whole = entryToBytes({});
  if (text.size() > words)
    checkSummed(text.replace(0, words, whole, 0, words));
  return 0;
}
