// The schedule of a tile kernel on the CPU: which operations share one loop over rows, and where in
// the thread's scratch each tile lives.
//
//   %s = tile.dot %q, %k            a dot step
//   %x = arith.mulf %s, %c          |
//   %m = tile.reduce max %x         | one rows step: for each row r: x = s[r] * c; m[r] = max x;
//                                   p[r] = exp2(x - m[r])
//   %p = math.exp2 (%x - %m)        | x never leaves registers; p has a slot because the next dot
//                                   reads it
//   %o = tile.dot %p, %v, %acc      a dot step, in place over acc's slot
//
// Integer tiles, masks, splats and broadcasts have no steps and no slots: they are computed again
// where they are used.
#pragma once
#include "compiler/lowering/carrying_loop.h"
#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

namespace nysjit::cpu {

/// Null for what is no tile.
inline mlir::RankedTensorType tileType(mlir::Value value) {
  return mlir::dyn_cast<mlir::RankedTensorType>(value.getType());
}

enum class StepKind {
  Rows,      // one loop over the rows of 2-D tiles
  Vector,    // one operation on whole 1-D tiles
  Dot,       // tile.dot
  Transpose, // tile.transpose
  Solve,     // tile.triangular_solve
  Reduce,    // a 1-D tile to a scalar
  Loop,      // scf.for or scf.while
  Branch,    // scf.if
  Scalar,    // anything without tiles
};

struct Step {
  StepKind kind;
  llvm::SmallVector<mlir::Operation *> operations;
  int64_t rows = 0; // Rows: how many
  int64_t begin = 0;
  int64_t end = 0; // times in the kernel's order; a loop's body lies between the two
};

class Schedule {
public:
  /// Fails, with a diagnostic, on what the CPU lowering cannot express.
  static mlir::FailureOr<Schedule> create(mlir::Operation *kernel);

  llvm::ArrayRef<Step> steps(mlir::Block *block) const { return blocks.find(block)->second; }
  /// Byte offset of the tile's slot in scratch, or nothing if it lives in registers only.
  std::optional<int64_t> slot(mlir::Value tile) const;
  /// Offset of a dot's transposed B operand.
  int64_t transposeSlot(mlir::Operation *dot) const { return transposed.lookup(dot); }
  int64_t scratchBytes() const { return totalBytes; }

  /// Float tiles from float tiles, element by element.
  static bool isElementwise(mlir::Operation *op);
  /// True for what is computed again at each use.
  static bool isLazy(mlir::Operation *op);
  /// A load whose rows the one dot that reads it takes straight from memory, as its a or
  /// transposed: it has no step and no slot.
  static bool isReadInPlace(mlir::Operation *op);
  /// A load that one dot reads as its b: straight from memory where the rows lie one after the
  /// other, else from its slot.
  static bool isReadWhereContiguous(mlir::Operation *op);
  /// Where a dot's result is stored if it adds to rows of memory in place: all of them exist, and
  /// lie one after the other. The load of its accumulator and the store have no steps and no slots.
  /// Null for other dots.
  static tile::StoreOp sumInMemory(tile::DotOp dot);
  /// Whether `op` is such a load or store.
  static bool isOfSumInMemory(mlir::Operation *op);
  /// Whether `value` is `tile`, or computed again from it.
  static bool reads(mlir::Value value, mlir::Value tile);
  /// The value behind widenings: a 16-bit tile is float32 from its load on.
  static mlir::Value strip(mlir::Value value);

private:
  class BlockSteps;
  struct Interval {
    int64_t begin;
    int64_t end;
  };
  mlir::LogicalResult scheduleBlock(mlir::Block *block);
  void findUses(mlir::Block *block);
  void mergeSlots(mlir::Block *block);
  void mergeOperands(mlir::Operation *op, const Step &step);
  void mergeCarried(CarryingLoop loop, const Step &step);
  bool isDeadBefore(CarryingLoop loop, mlir::Value argument, mlir::Value next, const Interval &life,
                    int64_t loopBegin);
  void assignOffsets();
  mlir::Value root(mlir::Value value) const;
  void unite(mlir::Value a, mlir::Value b);
  bool needsSlot(mlir::Value value) const { return intervals.count(value); }
  void useAt(mlir::Value value, mlir::Operation *user, const Step &step);

  int64_t clock = 0;
  llvm::DenseMap<mlir::Block *, llvm::SmallVector<Step>> blocks;
  // operation to its step's begin and end
  llvm::DenseMap<mlir::Operation *, std::pair<int64_t, int64_t>> times;
  llvm::MapVector<mlir::Value, Interval> intervals; // of tiles with slots
  llvm::DenseMap<mlir::Value, mlir::Value> parent;  // union-find over intervals' keys
  llvm::DenseMap<mlir::Value, int64_t> offsets;
  llvm::DenseMap<mlir::Operation *, int64_t> transposed;
  int64_t totalBytes = 0;
};

} // namespace nysjit::cpu
