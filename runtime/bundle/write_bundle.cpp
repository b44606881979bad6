// Manifest and parts, laid out; and the same as C.
#include "runtime/bundle/write_bundle.h"
#include "runtime/bundle/checksum.h"
#include "runtime/bundle/manifest.h"
#include "runtime/bundle/sha256.h"
#include "runtime/cache/key.h"

#include <map>
#include <utility>

namespace nysjit {

namespace {

template <typename T> void append(std::string &bytes, T number) {
  for (size_t i = 0; i < sizeof(T); ++i)
    bytes += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
}

/// The entries' parts one after the other. Offsets are from the first one's start.
BundleManifest layOut(const std::map<std::string, CacheEntry> &entries, const std::string &version,
                      std::string &parts) {
  BundleManifest manifest{version, {}};
  for (const auto &[request, entry] : entries) {
    BundleEntry described{entry.keyText, {}};
    const std::string *contents[] = {&entry.planJson, &entry.infoJson, &entry.object, &entry.ptx};
    static_assert(std::size(contents) == bundlePartNames.size());
    for (size_t i = 0; i < std::size(contents); ++i) {
      described.parts[i] = {parts.size(), contents[i]->size(), sha256Hex(*contents[i])};
      parts += *contents[i];
    }
    manifest.entries.push_back(std::move(described));
  }
  return manifest;
}

std::string startingAt(uint64_t start, BundleManifest manifest) {
  for (BundleEntry &entry : manifest.entries)
    for (BundlePart &part : entry.parts)
      part.offset += start;
  return manifestToJson(manifest);
}

} // namespace

std::string bundleToBytes(std::vector<CacheEntry> entries, const std::string &version) {
  std::map<std::string, CacheEntry> byRequest;
  for (CacheEntry &entry : entries)
    byRequest.try_emplace(requestOf(entry.keyText), std::move(entry));
  std::string parts;
  const BundleManifest manifest = layOut(byRequest, version, parts);
  // It says where the parts begin, which is after it; longer numbers make it longer, so that this
  // ends.
  std::string text = startingAt(0, manifest);
  for (uint64_t start = 0; start != bundleHeaderBytes + text.size();) {
    start = bundleHeaderBytes + text.size();
    text = startingAt(start, manifest);
  }
  std::string bytes(bundleMagic);
  append(bytes, bundleFormat);
  append(bytes, entryFormat);
  append(bytes, static_cast<uint64_t>(text.size()));
  bytes += sha256Hex(text) + text + parts;
  BundleChecksum checksum;
  checksum.add(bytes);
  return bytes + checksum.bytes();
}

std::string bundleToC(const std::string &bytes, const std::string &comment) {
  const std::string array =
      "const unsigned char nysjit_bundle[" + std::to_string(bytes.size()) + "]";
  std::string text = "/* " + comment + " */\n#include <stddef.h>\n\nextern " + array +
                     ";\nextern const size_t nysjit_bundle_size;\n" + array + " = {";
  constexpr size_t numbersInALine = 24;
  for (size_t i = 0; i < bytes.size(); ++i) {
    text += i % numbersInALine == 0 ? "\n" : "";
    text += std::to_string(static_cast<unsigned char>(bytes[i])) + ",";
  }
  return text + "\n};\nconst size_t nysjit_bundle_size = sizeof nysjit_bundle;\n";
}

} // namespace nysjit
