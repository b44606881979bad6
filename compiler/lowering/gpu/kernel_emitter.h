// Emits one kernel; what cannot be emitted its KernelPlan has refused. The walk is in
// lower_tiles.cpp; the other files emit what their names say.
#pragma once
#include "compiler/lowering/gpu/kernel_plan.h"
#include "compiler/lowering/gpu/warp_builder.h"
#include "compiler/lowering/memory_view.h"
#include "mlir/IR/IRMapping.h"

namespace nysjit::gpu {

/// What a tile.view says.
/// Fragments of one operand for a warp's bands: [band][term][k step].
using Fragments = llvm::SmallVector<llvm::SmallVector<llvm::SmallVector<Registers>, 2>, 2>;

class KernelEmitter {
public:
  KernelEmitter(mlir::func::FuncOp source, const KernelPlan &plan, const KernelOptions &options);
  /// The lowered kernel beside the source.
  void run(llvm::StringRef name);

private:
  // lower_tiles.cpp
  void emitBlock(mlir::Block *block);
  void emitOperation(mlir::Operation *op);
  void emitView(tile::ViewOp view);
  void emitElementwise(mlir::Operation *op);
  void emitRounding(tile::RoundOperandOp op);
  void emitBroadcast(tile::BroadcastOp op);
  void emitIota(tile::IotaOp op);
  mlir::Value emitElement(mlir::Operation *op, mlir::ValueRange operands);

  // loops.cpp
  void emitFor(mlir::scf::ForOp loop);
  void emitWhile(mlir::scf::WhileOp loop);
  mlir::scf::WhileOp emitIterations(mlir::scf::WhileOp loop, mlir::ValueRange initial);
  /// `values` spread as `carried`, which take their place in a loop or after it.
  llvm::SmallVector<mlir::Value> valuesFor(mlir::ValueRange carried, mlir::ValueRange values);
  /// `carried`, a loop's results or arguments, are in the registers `values`.
  void mapCarried(mlir::ValueRange carried, mlir::ValueRange values);
  mlir::scf::ForOp emitIterations(mlir::scf::ForOp loop, mlir::Value lower, mlir::Value upper,
                                  mlir::Value step, mlir::ValueRange initial);
  void emitPipelinedBody(mlir::scf::ForOp loop, const PipelinedLoop &pipeline,
                         mlir::Value induction, mlir::Value upper, mlir::Value step,
                         mlir::Value stage);
  void emitIf(mlir::scf::IfOp branch);

  // memory.cpp
  void emitLoad(Load load);
  void emitStore(tile::StoreOp store);
  void storeRows(tile::StoreOp store);
  void storeLine(tile::StoreOp store);
  mlir::Value loadScalar(tile::LoadScalarOp load);
  bool mayOverwriteUnread(tile::StoreOp store, bool hasCopies) const;
  Registers registersFromShared(Load load);
  /// `body` where row `number` of the load's view exists, else `outside`.
  Registers valuesInside(Load load, mlir::Value number, llvm::function_ref<Registers()> body,
                         const Registers &outside);
  Registers loadRows(Load load);
  Registers loadSpread(Load load, mlir::Value start, Spread spread);
  Registers gatherSpread(Load load, Spread spread);

  // copies.cpp
  /// All threads arrive, and nothing that may be under way is.
  void barrier();
  /// Before these ranges of shared memory are written: what reads them is done.
  void awaitReaders(llvm::ArrayRef<SharedRange> written);
  /// Before the load reads memory: what this cell stored there before a tile.sync is there.
  void awaitStores(Load load);
  /// Whether the load's copies are under way when startCopy returns.
  bool isAsynchronous(Load load);
  bool anyIsAsynchronous(const PipelinedLoop &pipeline) {
    return llvm::any_of(pipeline.loads, [&](Load load) { return isAsynchronous(load); });
  }
  /// Starts copying the load's rows into `stage` (null: 0). `ahead`: the body of the loop for whose
  /// iteration in `scalars` they are; null: for the one at hand.
  void startCopy(Load load, mlir::Region *ahead, mlir::Value stage);
  /// Number `place` of a gather's rows, their arithmetic emitted anew.
  mlir::Value numberAt(mlir::Value rows, mlir::Value place, mlir::Region *ahead);
  void copyElements(mlir::Value shared, mlir::Value global, mlir::Value inside,
                    int64_t elementBytes);
  /// Makes the load's other forms from its raw rows in `stage`; barriers around it are the
  /// caller's.
  void convertForms(Load load, mlir::Value stage);
  bool needsConversion(Load load) const;
  bool awaitsBetween(Load load, mlir::Operation *reader);
  llvm::SmallVector<const PipelinedLoop *> loopsThatRead(Load load);
  bool arrivesWithLoops(Load load, llvm::ArrayRef<const PipelinedLoop *> loops);
  void awaitCopied(llvm::ArrayRef<Load> loads);
  void copyWhereItStands(Load load);
  mlir::Value threadAt(mlir::Operation *op);
  void forEachChunk(int64_t count, llvm::function_ref<void(mlir::Value index)> body) {
    forEachChunk(count, count, body);
  }
  void forEachChunk(int64_t count, int64_t atOnce,
                    llvm::function_ref<void(mlir::Value index)> body);

  // dot.cpp
  struct SharedOperand {
    SharedTile tile;
    mlir::Value base;  // address of the stage in use
    SharedRange range; // of all stages
  };
  /// One dot's operands and where they come from.
  struct DotOperands {
    DotPlan plan;
    llvm::SmallVector<SharedOperand, 2> a; // by term; empty: `held`
    const Fragments *held = nullptr;
    llvm::SmallVector<SharedOperand, 2> b;
    bool isTransposedA = false; // its rows in shared memory are k
    bool isTransposedB = false;
    // k 2t and 2t + 1 stand where t and t + 4 would: a is an accumulator of float32
    bool isPermuted = false;
    int64_t innerSteps = 0; // k steps of two chunks, the last of one if `hasHalfStep`
    bool hasHalfStep = false;
    bool isHalf(int64_t step) const { return hasHalfStep && step == innerSteps - 1; }
    /// How op's operands lie and the steps along k, by the plan.
    void setInner(tile::DotOp op);
  };
  void emitDot(tile::DotOp op);
  void preload(Load load);
  void packBefore(mlir::Operation *loop);
  SharedOperand sharedForm(Load load, Form form, int term);
  /// A load as a dot's a: from the warp's rows on, unless those are columns.
  SharedOperand rowsInShared(Load load, const DotOperands &dot, int term, const WarpRows &warpRows);
  Registers loadMatrices(const SharedOperand &operand, mlir::Value row, mlir::Value chunk,
                         mlir::Value laneRows, mlir::Value laneChunks, int count, bool transposed);
  /// Fragment of a band of a for one k step; `operand` begins at the warp's rows.
  Registers rowFragment(const SharedOperand &operand, int64_t band, mlir::Value step,
                        bool isHalfStep);
  /// The same of a transposed a: `operand` has k by rows.
  Registers transposedFragment(const SharedOperand &operand, const WarpRows &warpRows, int64_t band,
                               mlir::Value step, bool isHalfStep);
  Registers sharedFragment(const DotOperands &dot, int term, const WarpRows &warpRows, int64_t band,
                           mlir::Value step, bool isHalfStep);
  /// Fragments of b for one k step and `count` (1 or 2) 8-column pieces.
  llvm::SmallVector<Registers, 2> columnFragments(const DotOperands &dot, int term,
                                                  mlir::Value step, bool isHalfStep, int64_t piece,
                                                  int64_t count);
  llvm::SmallVector<Registers, 2> floatFragments(const DotOperands &dot, mlir::Value step,
                                                 int64_t piece, int64_t count);
  /// Of an accumulator's registers.
  Fragments computedFragments(mlir::RankedTensorType type, llvm::ArrayRef<mlir::Value> values,
                              const DotPlan &plan);
  llvm::SmallVector<SharedOperand, 2> storeOperand(mlir::Value operand, const DotPlan &plan,
                                                   int terms, SharedRange range);
  DotOperands operandsOf(tile::DotOp op, const WarpRows &warpRows, Fragments &computed,
                         mlir::Value &isHidden);
  Registers roundedTf32(mlir::ValueRange values);
  Registers asTf32(mlir::ValueRange values, bool isExact);
  Registers highTf32(mlir::ValueRange values);
  Registers lowTf32(mlir::ValueRange values, mlir::ValueRange high);
  void multiplyStep(const DotOperands &dot, llvm::ArrayRef<llvm::SmallVector<Registers, 2>> a,
                    mlir::Value step, bool isHalfStep, int64_t first, int64_t count, int64_t pieces,
                    Registers &sums);
  void multiplyStepPrecisely(const DotOperands &dot, llvm::ArrayRef<Registers> a, mlir::Value step,
                             int64_t first, int64_t count, Registers &high, Registers &low);
  void multiplyPieces(const DotOperands &dot, const WarpRows &warpRows, int64_t first,
                      int64_t count, int64_t pieces, Registers &sums);
  void multiplyPiecesPrecisely(const DotOperands &dot, const WarpRows &warpRows, int64_t first,
                               int64_t count, int64_t pieces, Registers &sums);

  // skip_zeros.cpp
  mlir::Value isSomeNotFinite(const DotOperands &dot);
  void hideNotFinite(const DotOperands &dot, mlir::Value flags);
  Registers withNaNs(const Registers &a, const WarpRows &warpRows, int64_t pieces,
                     mlir::Value flags);
  /// op's `a` for a product in which its zeros hide b, which is in place; whether something was
  /// hidden.
  Registers skipZeros(tile::DotOp op, const DotOperands &dot, const Registers &a,
                      mlir::Value &isHidden);
  /// After the product.
  void showHidden(tile::DotOp op, const DotOperands &dot, mlir::Value isHidden);

  // exchange.cpp
  void emitReduce(tile::ReduceOp op);
  void exchangeSpread(tile::ReduceOp op, llvm::ArrayRef<mlir::Value> values, unsigned made);
  void emitTranspose(tile::TransposeOp op);
  mlir::Value combine(tile::ReduceKind kind, mlir::Value a, mlir::Value b);
  mlir::Value acrossLanes(tile::ReduceKind kind, mlir::Value value, llvm::ArrayRef<int64_t> masks);
  Registers acrossWarps(tile::ReduceOp op, Registers values, int64_t warps,
                        llvm::ArrayRef<int64_t> places, mlir::Value lanePlace, int64_t count);
  void onWarpsOf(int64_t warps, llvm::function_ref<void()> body);
  void storeTile(mlir::Value tile, mlir::Value base, int64_t stride);

  // solve.cpp
  void emitSolve(tile::TriangularSolveOp op);

  // Values
  llvm::SmallVector<mlir::Value> &registersOf(mlir::Value tile, unsigned spread = 0);
  void setRegisters(mlir::Value tile, Registers registers, unsigned spread = 0);
  llvm::SmallVector<unsigned> spreadsOf(mlir::Value value) const;
  size_t registerCount(mlir::RankedTensorType type, unsigned spread) const;
  mlir::Value firstRow(const WarpRows &warpRows); // the warp's
  mlir::Value sharedAddress(int64_t bytes) { return e.offset(sharedBase, bytes); }
  mlir::Value swizzledChunk(const SharedTile &tile, mlir::Value row, mlir::Value chunk);
  // byte offset in the tile
  mlir::Value swizzled(const SharedTile &tile, mlir::Value row, mlir::Value chunk);
  /// The address of (row, laneChunk + chunk), which have no bits in common, in a tile at `base`.
  mlir::Value chunkAddress(const SharedTile &tile, mlir::Value base, mlir::Value row,
                           mlir::Value laneChunk, mlir::Value chunk);
  int64_t pieces(mlir::Value tile) const { return tileType(tile).getDimSize(1) / 8; }

  mlir::func::FuncOp source;
  const KernelPlan &plan;
  const KernelOptions &options;
  mlir::Operation *waitBefore = nullptr; // with options.mayOverlap, the first that touches memory
  WarpBuilder e;
  mlir::Value sharedBase;
  mlir::Value thread;
  mlir::Value lane;
  mlir::Value warp;
  mlir::Value laneRow;
  mlir::Value laneColumn; // laneRow = lane / 4, laneColumn = 2 (lane % 4)
  mlir::Value copier;     // the thread's number for the copies that are emitted
  mlir::IRMapping scalars;
  llvm::DenseMap<mlir::Value, MemoryView> views;
  // by tile and spread (0: 2-D)
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, llvm::SmallVector<mlir::Value>> registers;
  // stage in use of each pipelined load, null: 0
  llvm::DenseMap<mlir::Operation *, mlir::Value> stagesInUse;
  // of dots that are preloaded, or whose operand is packed before a loop
  llvm::DenseMap<mlir::Operation *, Fragments> fragments;
  // loads that no loop keeps under way, started together with some that is asynchronous
  llvm::SmallPtrSet<mlir::Operation *, 8> startedWithCopies;
  // loads that nothing waits for but loops, which may not turn once
  llvm::SmallVector<mlir::Operation *> arriving;

  /// What threads may be at since the last barrier.
  struct UnderWay {
    llvm::SmallVector<SharedRange> reads;          // of shared memory
    llvm::SmallPtrSet<mlir::Operation *, 8> loads; // of global memory
    llvm::SmallPtrSet<mlir::Value, 4> stored;
    llvm::SmallPtrSet<mlir::Value, 4> synced; // bases of views stored to; before a tile.sync
    bool isRead(const SharedRange &range) const;
    bool covers(const UnderWay &other) const;
    void add(const UnderWay &other);
  } underWay;
};

} // namespace nysjit::gpu
