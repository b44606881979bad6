// One kernel being emitted from its schedule: what its parts (rows.cpp, memory.cpp,
// lower_tiles.cpp) share. Internal to compiler/cpu.
#pragma once
#include "compiler/lowering/cpu/schedule.h"
#include "compiler/lowering/cpu/vector_builder.h"
#include "compiler/lowering/memory_view.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

namespace nysjit::cpu {

class KernelEmitter {
public:
  KernelEmitter(mlir::func::FuncOp source, const Schedule &schedule, VectorShape shape)
      : source(source), schedule(schedule),
        e{mlir::OpBuilder(source.getContext()), source.getLoc(), mlir::Value(), shape} {}

  mlir::func::FuncOp run();

private:
  // Steps.
  void emitBlock(mlir::Block *block);
  void emitScalar(mlir::Operation *op);
  void emitReduce(tile::ReduceOp reduce);
  void emitTransposeStep(tile::TransposeOp transpose);
  void emitDotStep(tile::DotOp dot);
  bool isKnown(mlir::Value value);
  /// Of what a mask along `axis` shows of some rows (columns): where it ends, at most `count`; null
  /// if there is no such mask, or its limits are not known yet.
  std::function<mlir::Value(mlir::Value, int64_t)> endOf(mlir::Value mask, int axis, int64_t count);
  std::function<Dot::Steps(mlir::Value, int64_t)> stepsOf(mlir::Value mask, int axis,
                                                          int64_t count);
  /// The least and the largest of a mask's limit in rows [i, i + rows).
  std::pair<mlir::Value, mlir::Value> extremes(mlir::Value limit, mlir::Value i, int64_t rows);
  std::pair<mlir::Value, mlir::Value> addressOf(mlir::Value tile);
  void emitSolve(tile::TriangularSolveOp solve);
  void copyTile(mlir::Value from, mlir::Value to);
  void emitLoop(mlir::scf::ForOp source);
  void emitWhile(mlir::scf::WhileOp source);
  VectorBuilder::Values enterLoop(CarryingLoop loop);
  void mapScalars(mlir::ValueRange values, mlir::ValueRange emitted);
  VectorBuilder::Values emitBody(CarryingLoop loop, llvm::SmallVector<Ahead> upcoming,
                                 llvm::SmallVector<Ahead> aroundIt);
  void emitBranch(mlir::scf::IfOp source);

  // Values: a row of a tile, or a 1-D tile, in pieces. rows.cpp
  mlir::Value slotAddress(mlir::Value tile) { return e.offset(e.scratch, *schedule.slot(tile)); }
  Pieces forPieces(int64_t length,
                   llvm::function_ref<mlir::Value(int64_t start, int64_t width)> make);
  mlir::Value lanes(int64_t start, int64_t width);
  mlir::Value repeated(mlir::Operation *op);
  Pieces emitAgain(mlir::Operation *op, llvm::function_ref<Pieces(mlir::Value)> operandOf);
  mlir::Value emitPiece(mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands);
  mlir::Value emitRowExp2(mlir::Value x);
  Pieces wholeTile(mlir::Value value);
  Pieces rowValue(mlir::Value value);
  Pieces makeRowValue(mlir::Value value);

  // Loops over rows. rows.cpp
  void enterRow(mlir::Value induction);
  void emitRows(const Step &step);
  VectorBuilder::Values startOfRows(const Step &step);
  VectorBuilder::Values emitRowOperations(const Step &step, mlir::ValueRange carried);
  void emitUnlessContiguous(const Step &step);
  mlir::Value isContiguous(tile::LoadOp load);
  Pieces emitRow(mlir::Operation *op);
  bool isScalingInPlace(tile::ScaleRowsOp scaling, const Step &step);
  void emitScaling(tile::ScaleRowsOp scaling);
  Pieces scaledRow(const Pieces &pieces, mlir::Value factor);
  static double identityOf(tile::ReduceKind kind);
  mlir::Value combine(tile::ReduceKind kind, mlir::Value a, mlir::Value b);
  mlir::Value reduction(tile::ReduceKind kind, Pieces pieces);

  // Tensors and buffers. memory.cpp
  static int64_t bytesOf(const MemoryView &view) {
    return view.element.getIntOrFloatBitWidth() / 8;
  }
  mlir::Value emitScalarLoad(tile::LoadScalarOp load);
  std::pair<mlir::Value, mlir::Value> rowOf(const MemoryView &view, mlir::Value index);
  mlir::Value indexFrom(mlir::Value first);
  Pieces emitRowLoad(mlir::Operation *load);
  void emitRowStore(tile::StoreOp store);
  mlir::VectorType elementsOf(const MemoryView &view, int64_t width);
  mlir::Value isInside(const MemoryView &view, mlir::Value numbers);
  mlir::Value elementAddress(const MemoryView &view, mlir::Value first);
  mlir::Value elementPointers(const MemoryView &view, mlir::Value numbers);
  mlir::Value emitElements(const MemoryView &view, mlir::Value numbers);
  void emitVectorStore(tile::StoreOp store);
  Pieces emitVectorLoad(tile::LoadOp load);
  void emitVector(mlir::Operation *op);
  Ahead tileOf(mlir::Value view, mlir::Value row, int64_t rows, bool isWritten);
  Ahead tileAfter(mlir::Value view, mlir::Value row, int64_t rows, bool isWritten);
  Ahead nextTile(mlir::Value tile);
  llvm::SmallVector<Ahead> tilesOfNextIteration(mlir::scf::ForOp loop);
  llvm::SmallVector<Ahead> tilesAround(mlir::scf::ForOp loop);
  llvm::SmallVector<Ahead> upcoming(const Step &step);
  void emitShare(const Ahead &ahead, int64_t rows);

  mlir::func::FuncOp source;
  const Schedule &schedule;
  VectorBuilder e;
  mlir::Value cellId;
  mlir::IRMapping scalars;
  llvm::DenseMap<mlir::Value, MemoryView> views;
  bool hasFetchedAhead = false;
  // what the loop at hand will touch, until some dot asks for it
  llvm::SmallVector<Ahead> nextIteration;
  // what loops around the one at hand will touch, for its dots under a mask, which are few
  llvm::SmallVector<Ahead> nextAround;
  llvm::DenseMap<mlir::Value, Pieces> wholeTiles; // lazy 1-D tiles of the step being emitted
  // The row being emitted.
  mlir::Value row;
  mlir::Operation *rowLoop = nullptr;
  llvm::DenseMap<mlir::Value, Pieces> rowValues;
};

} // namespace nysjit::cpu
