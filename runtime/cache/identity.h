// What tells one compiler from another without running it: builds of the worker, the LLVM that it
// is linked with, ptxas.
#pragma once
#include "runtime/base/result.h"

#include <string>

namespace nysjit {

class OpenFolder;

/// An executable's ELF build id, else a hash of the file: "build-id 22265d…", "hash 99aa06…".
Result<std::string> buildId(const std::string &path);

/// The LLVM and MLIR libraries that the loader would give the executable, each with its build id
/// ("libMLIR.so.22.1 940fb0…, libLLVM.so.22.1 11337e…"; a library without one: a hash of the file).
/// "linked in" where it names none: then they are in its own build id. A library that is not to be
/// found is "absent". A worker that is a script is known by its text alone: "of a script".
std::string llvmIdentity(const std::string &worker);

/// A program that may be large and have no build id, as ptxas: a hash of all of it. The hash of the
/// last one is kept in `folder`, "assembler" beside its file's number, size and times, so that it
/// is computed once. The folder need neither be open nor be writable.
Result<std::string> toolIdentity(const std::string &path, const OpenFolder &folder);

} // namespace nysjit
