// One cache entry as bytes: a header, the sections, and a checksum over all of it.
//   8 bytes "nysjitce", u32 format, u32 number of sections, u64 length of each section,
//   the sections, 16 bytes XXH3-128
// little endian. Whatever is not exactly this is no entry.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nysjit {

/// Changes when the layout of the file or the meaning of a section changes; it is part of the key,
/// too.
constexpr uint32_t entryFormat = 3;

struct CacheEntry {
  std::string keyText;  // what the key is the hash of
  std::string planJson; // the launch plan
  std::string infoJson; // the compiler's report: {"kernels", "config"}
  std::string object;   // the shared object; for a GPU the cubin, empty if there was no ptxas
  std::string ptx;      // for a GPU, where it is never empty; empty for the CPU
};

std::string entryToBytes(const CacheEntry &entry);
/// Nothing if the bytes are damaged in any way or of another format.
std::optional<CacheEntry> entryFromBytes(std::string_view bytes);

/// The format that the first bytes of a file claim; 0 if they are no entry's.
uint32_t claimedFormat(std::string_view bytes);

/// Where an entry's key text lies, by its first `entryHeaderBytes` bytes. Nothing if they are no
/// header of this format. Whether the text is whole, its hash says.
constexpr size_t entryHeaderBytes = 56;
std::optional<uint64_t> keyTextBytes(std::string_view header);

} // namespace nysjit
