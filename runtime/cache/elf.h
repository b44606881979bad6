// What an ELF file says of itself, read without running it: its build id, and which libraries it is
// linked with. Internal to cache/.
#pragma once
#include "runtime/cache/file.h"

#include <string>
#include <vector>

namespace nysjit {

/// The build id as hex; "" if the file has none or is no 64-bit ELF file.
std::string elfBuildId(OpenFile &file);

struct ElfLinks {
  std::vector<std::string> libraries; // DT_NEEDED: "libLLVM.so.22.1"
  std::vector<std::string> folders;   // DT_RUNPATH, else DT_RPATH; as written, $ORIGIN too
  bool isRunPath = false;             // which of the two: LD_LIBRARY_PATH goes before a RUNPATH
};

/// Empty where the file is no 64-bit ELF file or is linked with nothing.
ElfLinks elfLinks(OpenFile &file);

} // namespace nysjit
