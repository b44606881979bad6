// LLVM's passes over one module, for both kinds of code.
#pragma once
#include "runtime/base/result.h"
#include "llvm/IR/Module.h"

namespace llvm {
class TargetMachine;
}

namespace nysjit {

/// Runs a pipeline in the textual form of LLVM's `opt -passes`. One that LLVM cannot parse is an
/// error.
Status runPasses(llvm::Module &module, llvm::TargetMachine &machine, llvm::StringRef pipeline);

} // namespace nysjit
