// Key text, hash, and the build id from an ELF file's notes.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/cache/entry.h"
#include "runtime/cache/file.h"
#include "runtime/cache/key.h"

#include <cstring>
#include <elf.h>
#include <sys/stat.h>

namespace nysjit {

std::string hashHex(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const XXH64_hash_t half : {hash.high64, hash.low64})
    for (int shift = 60; shift >= 0; shift -= 4)
      text += digits[(half >> shift) & 15];
  return text;
}

std::string cacheKeyText(const ProgramRequest &request, const CpuIdentity &cpu,
                         const std::string &compilerId, const std::string &assemblerId) {
  const Target &target = request.target;
  std::string text = "format " + std::to_string(entryFormat) + "\nspec " + request.specJson +
                     "\nconfig " + request.configJson + "\ntarget " + targetName(target) + "\n";
  if (target.isCuda())
    text += "assembler " + assemblerId + "\n";
  else if (target.level == CpuLevel::Native)
    text += "cpu " + describe(cpu) + "\n";
  return text + "compiler " + compilerId + "\n";
}

namespace {

/// The build id among the notes in `notes`, as hex; "" if there is none.
std::string findBuildId(std::string_view notes) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof header);
    notes.remove_prefix(sizeof header);
    const uint64_t nameBytes = (uint64_t(header.n_namesz) + 3) / 4 * 4;
    const uint64_t bytes = (uint64_t(header.n_descsz) + 3) / 4 * 4;
    if (nameBytes + bytes > notes.size())
      return "";
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes.data(), "GNU", 4) == 0) {
      constexpr char digits[] = "0123456789abcdef";
      std::string text;
      for (const unsigned char byte : notes.substr(nameBytes, header.n_descsz)) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
      }
      return text;
    }
    notes.remove_prefix(nameBytes + bytes);
  }
  return "";
}

/// The build id of an ELF file; "" if it has none or is none.
std::string elfBuildId(OpenFile &file) {
  constexpr size_t maxNotes = 1 << 16;
  Elf64_Ehdr header;
  if (file.readAt(0, &header, sizeof header) && std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
      header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_phentsize == sizeof(Elf64_Phdr)) {
    for (int i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr segment;
      if (!file.readAt(header.e_phoff + uint64_t(i) * sizeof segment, &segment, sizeof segment))
        break;
      if (segment.p_type != PT_NOTE || segment.p_filesz > maxNotes)
        continue;
      std::string notes(segment.p_filesz, '\0');
      if (!file.readAt(segment.p_offset, notes.data(), notes.size()))
        continue;
      if (std::string id = findBuildId(notes); !id.empty())
        return id;
    }
  }
  return "";
}

} // namespace

Result<std::string> buildId(const std::string &path) {
  OpenFile file(path);
  if (!file.isOpen())
    return Error::mismatch(ErrorKind::Io, path, "an executable that can be read", file.failure());
  if (const std::string id = elfBuildId(file); !id.empty())
    return "build-id " + id;
  std::optional<std::string> bytes = file.readAll(uint64_t(1) << 32);
  if (!bytes)
    return Error::mismatch(ErrorKind::Io, path, "an executable that can be read", file.failure());
  return "hash " + hashHex(*bytes);
}

Result<std::string> toolIdentity(const std::string &path) {
  constexpr off_t scriptBytes = 1 << 16;
  OpenFile file(path);
  struct stat status;
  if (!file.isOpen() || stat(path.c_str(), &status) != 0)
    return Error::mismatch(ErrorKind::Io, path, "an executable that can be read", file.failure());
  std::string facts = std::to_string(status.st_size) + " " + std::to_string(status.st_mtim.tv_sec) +
                      "." + std::to_string(status.st_mtim.tv_nsec) + " " + elfBuildId(file) + " ";
  if (status.st_size <= scriptBytes)
    facts += file.readAll(scriptBytes).value_or("");
  return hashHex(facts);
}

} // namespace nysjit
