// Rewrites of a kernel's tile IR before its KernelPlan is made: what they rewrite has no lowering
// of its own.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit::gpu {

/// expand_sums.cpp: cumulative sums as products with a triangle of ones. Whether it found some.
bool expandSums(mlir::func::FuncOp kernel);

} // namespace nysjit::gpu
