// Program headers, notes and the dynamic section. The file may be anything: each offset and size is
// checked by the read, and sizes are bounded.
#include "runtime/cache/elf.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <string_view>

namespace nysjit {

namespace {

constexpr size_t maxBytes = 1 << 16;

std::vector<Elf64_Phdr> segmentsOf(OpenFile &file) {
  Elf64_Ehdr header;
  if (!file.readAt(0, &header, sizeof header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
    return {};
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  if (!file.readAt(header.e_phoff, segments.data(), segments.size() * sizeof(Elf64_Phdr)))
    return {};
  return segments;
}

std::string bytesOf(OpenFile &file, uint64_t offset, uint64_t count) {
  std::string bytes(count <= maxBytes ? count : 0, '\0');
  return file.readAt(offset, bytes.data(), bytes.size()) ? bytes : "";
}

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

/// Where in the file an address of the loaded program lies; 0 if nowhere.
uint64_t offsetOf(const std::vector<Elf64_Phdr> &segments, uint64_t address) {
  for (const Elf64_Phdr &segment : segments)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz)
      return segment.p_offset + (address - segment.p_vaddr);
  return 0;
}

void appendFolders(const std::string &list, std::vector<std::string> &folders) {
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find(':', start), list.size());
    if (end > start)
      folders.push_back(list.substr(start, end - start));
    start = end + 1;
  }
}

} // namespace

std::string elfBuildId(OpenFile &file) {
  for (const Elf64_Phdr &segment : segmentsOf(file))
    if (segment.p_type == PT_NOTE)
      if (std::string id = findBuildId(bytesOf(file, segment.p_offset, segment.p_filesz));
          !id.empty())
        return id;
  return "";
}

ElfLinks elfLinks(OpenFile &file) {
  const std::vector<Elf64_Phdr> segments = segmentsOf(file);
  std::vector<Elf64_Dyn> entries;
  for (const Elf64_Phdr &segment : segments)
    if (segment.p_type == PT_DYNAMIC) {
      const std::string bytes = bytesOf(file, segment.p_offset, segment.p_filesz);
      entries.resize(bytes.size() / sizeof(Elf64_Dyn));
      std::memcpy(entries.data(), bytes.data(), entries.size() * sizeof(Elf64_Dyn));
    }
  const auto valueOf = [&entries](Elf64_Sxword tag) -> uint64_t {
    for (const Elf64_Dyn &entry : entries)
      if (entry.d_tag == tag)
        return entry.d_un.d_val;
    return 0;
  };
  // Of the names only those that are asked for: a program's table of names may be large. They tend
  // to lie side by side, so a read serves several.
  const uint64_t names = offsetOf(segments, valueOf(DT_STRTAB));
  const uint64_t namesBytes = valueOf(DT_STRSZ);
  std::string window;
  uint64_t windowStart = 0;
  const auto nameAt = [&](uint64_t offset) -> std::string {
    if (names == 0 || offset >= namesBytes)
      return "";
    if (offset < windowStart || offset >= windowStart + window.size() ||
        window.find('\0', offset - windowStart) == std::string::npos) {
      window = bytesOf(file, names + offset, std::min<uint64_t>(1024, namesBytes - offset));
      windowStart = offset;
    }
    return window.empty() ? "" : window.c_str() + (offset - windowStart);
  };
  ElfLinks links;
  for (const Elf64_Dyn &entry : entries)
    if (entry.d_tag == DT_NEEDED)
      links.libraries.push_back(nameAt(entry.d_un.d_val));
  if (const uint64_t runPath = valueOf(DT_RUNPATH)) {
    links.isRunPath = true;
    appendFolders(nameAt(runPath), links.folders);
  } else if (const uint64_t path = valueOf(DT_RPATH)) {
    appendFolders(nameAt(path), links.folders);
  }
  return links;
}

} // namespace nysjit
