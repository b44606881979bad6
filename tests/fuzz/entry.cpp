// A cache entry's bytes: as they are, and with the checksum that they should have, so that what
// lies behind it is reached too.
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

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  check(textOf(bytes, count));
  XXH128_canonical_t sum;
  XXH128_canonicalFromHash(&sum, XXH3_128bits(bytes, count));
  std::string summed(textOf(bytes, count));
  check(summed.append(reinterpret_cast<const char *>(sum.digest), sizeof sum.digest));
  return 0;
}
