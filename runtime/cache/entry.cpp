// Entry bytes, both ways.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/cache/entry.h"

#include <cstring>

namespace nysjit {

namespace {

constexpr char magic[] = "nysjitce";
constexpr size_t magicBytes = 8;
constexpr size_t sectionCount = 5;
constexpr size_t headerBytes = magicBytes + 8 + 8 * sectionCount;
static_assert(headerBytes == entryHeaderBytes);
constexpr size_t checksumBytes = 16;

template <typename T> void append(std::string &bytes, T number) {
  for (size_t i = 0; i < sizeof(T); ++i)
    bytes += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
}

uint64_t read(std::string_view bytes, size_t offset, size_t count) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; ++i)
    number |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[offset + i])) << (8 * i);
  return number;
}

std::string checksum(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return std::string(reinterpret_cast<const char *>(canonical.digest), checksumBytes);
}

} // namespace

std::string entryToBytes(const CacheEntry &entry) {
  const std::string *sections[sectionCount] = {&entry.keyText, &entry.planJson, &entry.infoJson,
                                               &entry.object, &entry.ptx};
  std::string bytes(magic, magicBytes);
  append(bytes, entryFormat);
  append(bytes, static_cast<uint32_t>(sectionCount));
  for (const std::string *section : sections)
    append(bytes, static_cast<uint64_t>(section->size()));
  for (const std::string *section : sections)
    bytes += *section;
  return bytes + checksum(bytes);
}

std::optional<CacheEntry> entryFromBytes(std::string_view bytes) {
  if (bytes.size() < headerBytes + checksumBytes || claimedFormat(bytes) != entryFormat ||
      read(bytes, magicBytes + 4, 4) != sectionCount)
    return std::nullopt;
  const size_t end = bytes.size() - checksumBytes;
  if (checksum(bytes.substr(0, end)) != bytes.substr(end))
    return std::nullopt;
  CacheEntry entry;
  std::string *sections[sectionCount] = {&entry.keyText, &entry.planJson, &entry.infoJson,
                                         &entry.object, &entry.ptx};
  size_t offset = headerBytes;
  for (size_t i = 0; i < sectionCount; ++i) {
    const uint64_t length = read(bytes, magicBytes + 8 + 8 * i, 8);
    if (length > end - offset)
      return std::nullopt;
    sections[i]->assign(bytes.substr(offset, length));
    offset += length;
  }
  if (offset != end)
    return std::nullopt;
  return entry;
}

uint32_t claimedFormat(std::string_view bytes) {
  return bytes.size() >= magicBytes + 4 && bytes.substr(0, magicBytes) == magic
             ? static_cast<uint32_t>(read(bytes, magicBytes, 4))
             : 0;
}

std::optional<uint64_t> keyTextBytes(std::string_view header) {
  if (header.size() < headerBytes || claimedFormat(header) != entryFormat)
    return std::nullopt;
  return read(header, magicBytes + 8, 8);
}

} // namespace nysjit
