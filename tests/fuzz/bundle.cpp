// A bundle's bytes: as they are, and with the checksum, the header and the SHA-256 that they should
// have, so that the manifest behind them is reached too.
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/checksum.h"
#include "runtime/bundle/sha256.h"
#include "runtime/bundle/write_bundle.h"
#include "tests/fuzz/property.h"

using namespace nysjit;
using namespace nysjit::fuzz;

namespace {

void check(std::string_view bytes) {
  const Result<std::shared_ptr<Bundle>> bundle = Bundle::ofMemory(bytes, "this");
  if (!bundle)
    return;
  for (const BundleEntry &entry : (*bundle)->manifest().entries) {
    const Result<CacheEntry> read = (*bundle)->read(entry);
    require(!read || read->keyText == entry.keyText, "an entry is read under its key");
    ProgramKey key;
    key.request = requestOf(entry.keyText);
    require((*bundle)->has(key), "an entry is found by its request");
  }
}

void checkSummed(std::string bytes) {
  BundleChecksum checksum;
  checksum.add(bytes);
  check(bytes + checksum.bytes());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  const std::string text(textOf(bytes, count));
  check(text);
  checkSummed(text);
  // As the manifest, and what would be parts behind it.
  std::string header = bundleToBytes({}, "").substr(0, bundleHeaderBytes);
  for (size_t i = 0; i < 8; ++i)
    header[16 + i] = static_cast<char>(static_cast<uint64_t>(count) >> (8 * i));
  header.replace(24, 64, sha256Hex(text));
  checkSummed(header + text + std::string(64, 'p'));
  return 0;
}
