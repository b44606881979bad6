// The MLIR passes before and after the tile lowerings, each list on one page.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

#include <memory>

namespace nysjit {

/// The dialects that kernels use, and no others.
void loadDialects(mlir::MLIRContext &context);
/// Tile IR: constants folded, equal expressions merged.
mlir::LogicalResult simplify(mlir::ModuleOp module);
/// Lowered kernels to the llvm dialect.
mlir::LogicalResult lowerToLlvm(mlir::ModuleOp module);
/// The same for GPU kernels, with the template's lines.
mlir::LogicalResult lowerToNvvm(mlir::ModuleOp module);
std::unique_ptr<llvm::Module> translateToLlvm(mlir::ModuleOp module, llvm::LLVMContext &context);

} // namespace nysjit
