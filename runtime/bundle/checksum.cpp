// By xxhash, in a file of its own: the rest of the library is compiled for size.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/bundle/checksum.h"

namespace nysjit {

struct BundleChecksum::State {
  XXH3_state_t hash;
};

BundleChecksum::BundleChecksum() : state(new State) {
  XXH3_INITSTATE(&state->hash);
  XXH3_128bits_reset(&state->hash);
}

BundleChecksum::~BundleChecksum() = default;

void BundleChecksum::add(std::string_view bytes) {
  XXH3_128bits_update(&state->hash, bytes.data(), bytes.size());
}

std::string BundleChecksum::bytes() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state->hash));
  return std::string(reinterpret_cast<const char *>(canonical.digest), sizeof canonical.digest);
}

} // namespace nysjit
