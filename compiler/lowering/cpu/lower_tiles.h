// Tile IR to loops: each kernel becomes void NAME(const uint64_t *parameters, i64 cell, ptr
// scratch), the CPU's kernel ABI of runtime/plan/plan.h, in scf, arith, vector and llvm operations.
#pragma once
#include "compiler/lowering/cpu/vector_builder.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <string>

namespace nysjit::cpu {

/// Replaces the module's kernels. `scratchBytes` receives each kernel's need of scratch memory.
mlir::LogicalResult lowerTiles(mlir::ModuleOp module, VectorShape shape,
                               std::map<std::string, int64_t> &scratchBytes);

} // namespace nysjit::cpu
