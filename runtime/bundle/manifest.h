// What a bundle says of itself, and where its parts lie. A bundle is one file:
//   8 bytes "nysjitbd", u32 format, u32 format of the entries, u64 length of the manifest,
//   64 hex digits: SHA-256 of the manifest,
//   the manifest (JSON), the parts, 16 bytes XXH3-128 of all before
// little endian. The last says at once, of all of it, whether a byte has changed; the SHA-256 of
// the manifest, and of each part in it, name the contents.
#pragma once
#include "runtime/base/result.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

/// Changes with the layout above or the meaning of the manifest. The entries' own is entryFormat
/// (runtime/cache/entry.h).
constexpr uint32_t bundleFormat = 1;
constexpr std::string_view bundleMagic = "nysjitbd";
constexpr size_t bundleHeaderBytes = 8 + 4 + 4 + 8 + 64;
constexpr size_t bundleChecksumBytes = 16;

/// Bytes of the bundle, from its start.
struct BundlePart {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::string sha256;
};

/// The parts of an entry, in the order of BundleEntry::parts.
inline constexpr std::array<const char *, 4> bundlePartNames = {"plan", "info", "object", "ptx"};

struct BundleEntry {
  std::string keyText; // as in the cache: the request, then the maker
  std::array<BundlePart, bundlePartNames.size()> parts;
};

struct BundleManifest {
  std::string version; // of the nysjit that made it
  std::vector<BundleEntry> entries;
};

std::string manifestToJson(const BundleManifest &manifest);
/// InvalidFile, `where` "manifest", unless every part lies in [start, end).
Result<BundleManifest> manifestFromJson(std::string_view text, uint64_t start, uint64_t end);

} // namespace nysjit
