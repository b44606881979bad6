// Machine code of a GPU as text, by a program of the CUDA toolkit where there is one.
#pragma once
#include "runtime/base/result.h"

#include <string>

namespace nysjit::cli {

/// The cubin's SASS by nvdisasm or cuobjdump. Unavailable, with the places looked at, if there is
/// neither.
Result<std::string> disassemble(const std::string &cubin);

/// Whether disassemble will find its program: before anything is compiled for it.
Status checkDisassembler();

} // namespace nysjit::cli
