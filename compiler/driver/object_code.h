// LLVM IR to machine code: assembly text, an object, a shared object.
#pragma once
#include "compiler/driver/target_info.h"
#include "runtime/base/result.h"

#include "llvm/IR/Module.h"

namespace nysjit {

/// Optimises and sets the target's attributes on every function, in place.
Status optimise(llvm::Module &module, const TargetInfo &target);
/// Assembly text or an object's bytes.
Result<std::string> generateCode(llvm::Module &module, const TargetInfo &target, bool asAssembly);
/// An object for each function, in the module's order: they are optimised (unless `isOptimised`) and generated side by side.
Result<std::vector<std::string>> generateObjects(llvm::Module &module, const TargetInfo &target, bool isOptimised);
/// One relocatable object of several. Serialised like linkSharedObject.
Result<std::string> joinObjects(std::vector<std::string> objects);
/// An object's bytes from assembly text.
Result<std::string> assemble(const std::string &text, const TargetInfo &target);
/// A shared object's bytes from an object's. Serialised inside: LLD keeps global state.
Result<std::string> linkSharedObject(const std::string &object);

} // namespace nysjit
