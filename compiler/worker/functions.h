// The functions of an LLVM module, worked on side by side.
#pragma once
#include "runtime/base/result.h"

#include "llvm/IR/Module.h"

#include <functional>
#include <string>
#include <vector>

namespace nysjit {

/// Whether a module defines functions and nothing else, so that each can stand alone: what
/// templates become, but not every text.
bool canSplit(const llvm::Module &module);

/// Calls `work` for each function that `module` defines, with that function alone (the others
/// declared) in a module of a context of its own, in as many threads as there are CPUs; `work` must
/// be safe to call from several. The results are in the module's order and depend on nothing else;
/// of several errors it is the first. Functions of `module` with local linkage become hidden ones,
/// so that the others reach them.
Result<std::vector<std::string>>
forEachFunction(llvm::Module &module,
                const std::function<Result<std::string>(llvm::Module &)> &work);

} // namespace nysjit
