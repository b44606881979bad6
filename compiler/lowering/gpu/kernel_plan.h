// What is decided about a kernel before a line of it is emitted: the products each dot uses, which
// loads go through shared memory and in which form, which loops keep copies under way, along what
// each 1-D tile is needed, and where in shared memory everything lies.
//
//   %q = tile.load                  needed once: fragments in registers, its shared memory is free
//                                   afterwards
//   scf.for {                       copies of the next iterations under way: num_stages buffers for
//                                   each load
//     %k = tile.load                the dot's operand: shared memory, read by ldmatrix
//     %b = tile.load (1-D)          registers
//     %s = tile.dot %q, %k
//     %p = ...                      registers, spread as tile_layout.h says
//     %o = tile.dot %p, tile.load %v
//   }
#pragma once
#include "compiler/lowering/gpu/load.h"
#include "compiler/lowering/gpu/tile_layout.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

#include <optional>

namespace nysjit::gpu {

/// What the lowering of one kernel depends on beside its tile IR.
struct KernelOptions {
  mlir::Type input;        // the spec's dtype: f32, f16 or bf16
  bool singleTf32 = false; // float32_math tf32: one product where three would be more precise
  std::optional<int> numWarps;
  std::optional<int> numStages;
  int64_t sharedLimit = 0; // bytes a block may have
  bool aligned = true;     // tensor arguments' rows start at 16-byte boundaries
  // the kernel waits by itself for the launch before it, and lets the next one begin (sm_90 on)
  bool mayOverlap = false;
};

enum class Products { Half, Tf32, Tf32x3 };

/// How a dot is computed. Half: 16-bit operands, float32 ones as `terms` of them (1: rounded; 2: a
/// high and a low one, all products but low times low). Tf32x3: float32 as two tf32 terms
/// likewise; of 16-bit operands there is only the high one.
struct DotPlan {
  Products products = Products::Half;
  mlir::Type element; // of the instruction: f16, bf16, or f32 for tf32
  int termsA = 1;
  int termsB = 1;
  // of tf32 and tf32x3, which round or split registers: each number is a tf32 number
  bool isExactA = false;
  bool isExactB = false;
};

/// What a dot reads of a load: as loaded; float32 as 16-bit terms; 16-bit as float32.
enum class Form { Raw, Terms, Widened };

/// Bytes of shared memory.
struct SharedRange {
  int64_t begin = 0;
  int64_t end = 0;
  bool meets(const SharedRange &other) const { return begin < other.end && other.begin < end; }
};

struct SharedLoad {
  SharedTile raw; // stage 0; stage i lies i * raw.bytes() further
  int stages = 1;
  llvm::SmallVector<SharedTile, 2> terms; // high, low; empty if not needed
  std::optional<SharedTile> widened;
  bool isRounded = false;          // the raw float32, to tf32 where it lies: no dot reads more
  bool onlyPreloaded = true;       // every dot takes it from registers
  mlir::Operation *loop = nullptr; // the loop that keeps it under way; null: copied where it stands
  // Loads that no loop keeps under way start together where the first of them stands.
  // of the first: all of them, itself included; else empty
  llvm::SmallVector<Load, 2> startsWith;
  // else nothing needs it before a later load of these is there
  bool isAwaited = false;
  // waits for these that are still to come when this one is needed
  int pending = 0;

  // all stages
  SharedRange copied() const { return {raw.offset, raw.offset + raw.bytes() * stages}; }
};

struct PipelinedLoop {
  llvm::SmallVector<Load> loads; // through shared memory
  int stages = 1;
};

/// How a 1-D tile lies in a warp's registers: a number for each row, for each column. Bits.
enum Spread : unsigned { OverRows = 1, OverColumns = 2 };

class KernelPlan {
public:
  /// Fails, with a diagnostic, on what the GPU lowering cannot express.
  static mlir::FailureOr<KernelPlan> create(mlir::func::FuncOp kernel,
                                            const KernelOptions &options);

  int64_t numWarps() const { return warps; }
  int64_t threads() const { return warps * 32; }
  int numStages() const { return stages; }
  int64_t sharedBytes() const { return totalShared; }
  WarpRows warpRows(int64_t rows) const { return WarpRows::of(rows, warps); }
  DotPlan dot(tile::DotOp op) const;
  /// Null if the load does not go through shared memory.
  const SharedLoad *shared(mlir::Operation *load) const;
  const PipelinedLoop *pipelined(mlir::Operation *loop) const;
  /// Fragments of the dot's operand a are in registers since its load.
  bool isPreloaded(tile::DotOp op) const { return preloaded.contains(op); }
  bool isUsedInRegisters(Load load) const;
  /// Registers get it from shared memory, 16 bytes a copy, as the lanes of an accumulator need it.
  bool comesThroughShared(Load load) const;
  static Form form(const DotPlan &plan, mlir::Type source);
  /// Whether an operand has no more than the 11 bits of tf32: 16-bit, or rounded before.
  bool isTf32(mlir::Value operand) const;
  /// The spreads in which a 1-D tile is needed.
  unsigned spreads(mlir::Value tile) const { return neededSpreads.lookup(tile); }
  /// Memory for what `op` exchanges between warps.
  SharedRange scratch(mlir::Operation *op) const { return scratchRanges.lookup(op); }
  /// Numbers of the parameters that are tensor arguments of whose rows it loads or stores tiles:
  /// with any, there is a variant for rows that are not aligned.
  llvm::ArrayRef<unsigned> alignedParameters() const { return aligned; }

private:
  mlir::LogicalResult decide(mlir::func::FuncOp kernel);
  mlir::LogicalResult chooseWarps(mlir::func::FuncOp kernel);
  mlir::LogicalResult planDots(mlir::func::FuncOp kernel);
  /// Rows that a product takes from a load before its loop.
  struct RowOperand {
    tile::DotOp op;
    Load load;
    int64_t registers; // of its fragments
  };
  void planPreloads(llvm::ArrayRef<RowOperand> operands);
  int64_t carriedRegisters(mlir::Operation *op) const;
  void planAlignment(mlir::func::FuncOp kernel);
  void planRegisterLoads(mlir::func::FuncOp kernel);
  void planLoops(mlir::func::FuncOp kernel);
  void groupCopies(mlir::Block *block);
  bool isNeededBefore(Load load, mlir::Operation *later) const;
  void planSpreads(mlir::func::FuncOp kernel);
  mlir::LogicalResult checkOperations(mlir::func::FuncOp kernel) const;
  int64_t scratchBytes(mlir::Operation *op) const;
  int64_t allocate(mlir::Block *block, int64_t base);
  /// Shared memory of a load that takes turns.
  struct Taken {
    SharedRange range; // read until lastReader
    int64_t end;       // of that and what was copied
    mlir::Operation *load;
    mlir::Operation *lastReader; // null: a loop's, in all iterations
    bool isReadBefore(mlir::Operation *op) const {
      return lastReader && lastReader->isBeforeInBlock(op);
    }
    bool isHeldAt(mlir::Operation *op) const {
      return !lastReader || (load->isBeforeInBlock(op) && !lastReader->isBeforeInBlock(op));
    }
  };
  bool isConvertedAtOnce(Load load, const SharedLoad &shared) const;
  llvm::SmallVector<Taken> placeInTurn(mlir::Block *block, int64_t base);
  bool canPipeline(mlir::scf::ForOp loop) const;

  KernelOptions options;
  int64_t warps = 1;
  int stages = 2;
  bool registersThroughShared = true;
  // Many loads of one block, one after the other, have each its memory for as long as it is read.
  bool sharesMemory = false;
  bool pipelines = true; // copies of later iterations are under way
  llvm::SmallVector<unsigned> aligned;
  llvm::MapVector<mlir::Operation *, SharedLoad> loads;
  llvm::MapVector<mlir::Operation *, PipelinedLoop> loops;
  llvm::SmallPtrSet<mlir::Operation *, 8> preloaded; // dots
  llvm::DenseMap<mlir::Value, unsigned> neededSpreads;
  llvm::DenseMap<mlir::Operation *, SharedRange> scratchRanges;
  int64_t totalShared = 0;
};

/// Numbers between the rows of a tile that is transposed, in shared memory.
int64_t transposeStride(mlir::RankedTensorType type);
inline mlir::RankedTensorType tileType(mlir::Value value) {
  return llvm::dyn_cast<mlir::RankedTensorType>(value.getType());
}
inline bool isTwoDimensional(mlir::Value value) {
  return tileType(value) && tileType(value).getRank() == 2;
}
inline bool isOneDimensional(mlir::Value value) {
  return tileType(value) && tileType(value).getRank() == 1;
}
/// The parameter behind a view of a tensor that the caller passes, whose rows may start anywhere;
/// null for a workspace buffer.
mlir::BlockArgument argumentOf(mlir::Value view);
inline bool isOfArgument(mlir::Value view) { return bool(argumentOf(view)); }
/// The pointer behind a view, null if the view is not made in the kernel.
inline mlir::Value baseOf(mlir::Value view) {
  return view.getDefiningOp<tile::ViewOp>() ? view.getDefiningOp<tile::ViewOp>().getBase()
                                            : mlir::Value();
}
/// Whether a 1-D integer tile can be computed again for one of its numbers: arithmetic on iotas and
/// on numbers.
bool isArithmeticOnIotas(mlir::Value tile);

} // namespace nysjit::gpu
