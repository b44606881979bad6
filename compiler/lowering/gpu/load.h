// A tile out of memory: by tile.load rows [row, row + M) of a view, by tile.gather any of its rows.
#pragma once
#include "compiler/tile/dialect/Tile.h"

namespace nysjit::gpu {

class Load {
public:
  Load() = default;
  Load(tile::LoadOp load) : op(load) {}
  Load(tile::GatherOp gather) : op(gather) {}
  /// Null if the operation is neither.
  static Load of(mlir::Operation *op) {
    return mlir::isa_and_nonnull<tile::LoadOp, tile::GatherOp>(op) ? Load(op) : Load();
  }
  operator mlir::Operation *() const { return op; }
  mlir::Operation *operator->() const { return op; }

  bool isGather() const { return mlir::isa<tile::GatherOp>(op); }
  mlir::TypedValue<tile::ViewType> getView() const {
    return mlir::cast<mlir::TypedValue<tile::ViewType>>(op->getOperand(0));
  }
  /// The first row, or of a gather each row.
  mlir::Value getRow() const { return op->getOperand(1); }
  mlir::TypedValue<mlir::RankedTensorType> getResult() const {
    return mlir::cast<mlir::TypedValue<mlir::RankedTensorType>>(op->getResult(0));
  }
  bool getInBounds() const { return !isGather() && mlir::cast<tile::LoadOp>(op).getInBounds(); }

private:
  explicit Load(mlir::Operation *op) : op(op) {}
  mlir::Operation *op = nullptr;
};

/// The load behind an operand, or null if it is computed.
inline Load loadOf(mlir::Value operand) { return Load::of(operand.getDefiningOp()); }

} // namespace nysjit::gpu
