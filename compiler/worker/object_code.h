// LLVM IR to machine code: assembly text, an object.
#pragma once
#include "compiler/worker/target_info.h"
#include "runtime/base/result.h"

#include "llvm/IR/Module.h"

namespace nysjit {

/// Optimises and sets the target's attributes on every function, in place.
Status optimise(llvm::Module &module, const TargetInfo &target);
/// An object: the functions are optimised (unless `isOptimised`) and generated side by side, then
/// joined.
Result<std::string> generateObject(llvm::Module &module, const TargetInfo &target,
                                   bool isOptimised);
/// The assembly text of which assemble() makes generateObject's bytes.
Result<std::string> generateAssembly(llvm::Module &module, const TargetInfo &target,
                                     bool isOptimised);
/// An object's bytes from assembly text.
Result<std::string> assemble(const std::string &text, const TargetInfo &target);

} // namespace nysjit
