// The MLIR passes before and after the tile lowerings, each list on one page.
#pragma once
#include "runtime/base/result.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

#include <memory>

namespace nysjit {

/// The dialects that kernels use, and no others.
void loadDialects(mlir::MLIRContext &context);
/// Whether MLIR's verifier runs after each pass and each lowering: in debug builds, and where
/// NYSJIT_VERIFY_IR=1 is in the environment.
bool verifiesIr();
/// InvalidArgument where that variable holds something else than 0 or 1.
Status checkSettings();
/// The verifier's verdict where it runs, else success.
mlir::LogicalResult verified(mlir::ModuleOp module);
/// Tile IR: constants folded, equal expressions merged.
mlir::LogicalResult simplify(mlir::ModuleOp module);
/// Lowered kernels to the llvm dialect.
mlir::LogicalResult lowerToLlvm(mlir::ModuleOp module);
/// The same for GPU kernels, with the template's lines.
mlir::LogicalResult lowerToNvvm(mlir::ModuleOp module);
std::unique_ptr<llvm::Module> translateToLlvm(mlir::ModuleOp module, llvm::LLVMContext &context);

} // namespace nysjit
