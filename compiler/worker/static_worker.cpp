// The static worker's own part: what LLVM's archives ask for and the worker never calls. LLD starts
// every target that LLVM was built with; those that nysjit has no use for are empty here, so that
// the linker leaves them out. absent_targets.def, written by CMake, has a line for each.
#include "llvm/Plugins/PassPlugin.h"

#define NYSJIT_ABSENT_TARGET(TARGET)                                                               \
  void LLVMInitialize##TARGET##TargetInfo() {}                                                     \
  void LLVMInitialize##TARGET##Target() {}                                                         \
  void LLVMInitialize##TARGET##TargetMC() {}                                                       \
  void LLVMInitialize##TARGET##AsmPrinter() {}                                                     \
  void LLVMInitialize##TARGET##AsmParser() {}                                                      \
  void LLVMInitialize##TARGET##Disassembler() {}

extern "C" {
#include "absent_targets.def"
}

/// Link-time optimization asks for it, and LLVM's packages have no archive of Polly.
llvm::PassPluginLibraryInfo getPollyPluginInfo() { return {}; }
