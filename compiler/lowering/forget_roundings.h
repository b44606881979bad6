// For lowerings whose products are float32's: operands are as they are.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace nysjit {

/// Puts what tile.round_operand rounds in its place.
void forgetRoundings(mlir::func::FuncOp kernel);

} // namespace nysjit
