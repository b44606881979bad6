// Rewrites of a kernel's tile IR before its KernelPlan is made: what they rewrite has no lowering
// of its own.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit::gpu {

// Each says whether it found something to rewrite.

/// expand_masks.cpp: masks as comparisons; what dots are told of their operands is forgotten.
bool expandMasks(mlir::func::FuncOp kernel);
/// expand_sums.cpp: cumulative sums as products with a triangle of ones.
bool expandSums(mlir::func::FuncOp kernel);

} // namespace nysjit::gpu
