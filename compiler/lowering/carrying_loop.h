// scf.for and scf.while as one thing: a loop that carries values. Of a scf.while the lowerings take
// what the builder writes: a condition of carried scalars that hands everything on in its place.
#pragma once
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace nysjit {

class CarryingLoop {
public:
  CarryingLoop() = default;
  /// Null if `op` is no loop.
  explicit CarryingLoop(mlir::Operation *op)
      : forLoop(llvm::dyn_cast_or_null<mlir::scf::ForOp>(op)),
        whileLoop(llvm::dyn_cast_or_null<mlir::scf::WhileOp>(op)) {}

  explicit operator bool() const { return forLoop || whileLoop; }
  /// What runs each time, and what it carries: at the start, in the body, on to the next time, and
  /// in the end.
  mlir::Block *body() { return forLoop ? forLoop.getBody() : whileLoop.getAfterBody(); }
  mlir::OperandRange inits() { return forLoop ? forLoop.getInitArgs() : whileLoop.getInits(); }
  llvm::MutableArrayRef<mlir::BlockArgument> arguments() {
    return forLoop ? forLoop.getRegionIterArgs() : whileLoop.getAfterArguments();
  }
  mlir::OperandRange next() { return body()->getTerminator()->getOperands(); }
  mlir::ResultRange results() { return forLoop ? forLoop.getResults() : whileLoop.getResults(); }

  /// Fails, with a diagnostic, on a condition that does more than to test scalars.
  mlir::LogicalResult verify() {
    if (!whileLoop)
      return mlir::success();
    mlir::Block *before = whileLoop.getBeforeBody();
    auto condition = whileLoop.getConditionOp();
    auto isTile = [](mlir::Value value) { return llvm::isa<mlir::ShapedType>(value.getType()); };
    for (mlir::Operation &op : before->without_terminator())
      if (llvm::any_of(op.getOperands(), isTile) || llvm::any_of(op.getResults(), isTile) ||
          op.getNumRegions())
        return op.emitOpError("expects scalars alone in a loop's condition");
    if (!llvm::equal(condition.getArgs(), before->getArguments()))
      return whileLoop.emitOpError(
          "expects a condition that hands on what is carried, in its place");
    return mlir::success();
  }

private:
  mlir::scf::ForOp forLoop;
  mlir::scf::WhileOp whileLoop;
};

} // namespace nysjit
