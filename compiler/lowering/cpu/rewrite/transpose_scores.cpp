// A loop that meets one tile of queries with many of keys
//
//   for keys k, values v:  %s = tile.dot %q, %k {transpose_b}     [queries, keys]; %k is transposed
//                          ... elementwise, reduced over keys ... each time
//                          %o = tile.dot %p, %v
// becomes
//   %qt = tile.transpose %q                                       once, before the loop
//   for keys k, values v:  %s = tile.dot %k, %qt                  [keys, queries]
//                          ... the same, reduced over rows ...    a query a lane: no sums across
//                                                                 lanes
//                          %o = tile.dot %p, %v {transpose_a}
//
// whatever the elementwise operations are: several such dots may meet in them. And a tile that the
// program transposes, %t = tile.transpose %x, is %x itself in what follows, if that may be turned.
#include "compiler/lowering/cpu/rewrite/rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
namespace nysjit::cpu {

namespace {

bool isElementwise(Operation *op) {
  return isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         op->getNumResults() == 1 && op->getNumOperands() > 0 && matrixType(op->getResult(0));
}

/// Whether a 2-D tile is made of numbers, and of 1-D tiles along its axes.
bool isSpread(Value tile) {
  Operation *op = tile.getDefiningOp();
  if (!op)
    return false;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return isa<SplatElementsAttr>(constant.getValue());
  if (isa<tensor::SplatOp, tile::BroadcastOp>(op))
    return true;
  return isElementwise(op) && llvm::all_of(op->getOperands(), [](Value operand) {
           return !matrixType(operand) || isSpread(operand);
         });
}

/// Keys that come by in a loop, to queries that stay.
bool gains(tile::DotOp scores, int64_t lanes) {
  auto loop = scores->getParentOfType<LoopLikeOpInterface>();
  Operation *queries = scores.getA().getDefiningOp();
  Operation *keys = scores.getB().getDefiningOp();
  const RankedTensorType type = scores.getResult().getType();
  return loop && queries && !loop->isAncestor(queries) &&
         isa_and_nonnull<tile::LoadOp, tile::GatherOp>(keys) &&
         keys->getBlock() == scores->getBlock() && scores.getTransposeB() &&
         !scores.getTransposeA() && !scores.getAccumulator() && type.getDimSize(0) % lanes == 0 &&
         type.getDimSize(1) % lanes == 0;
}

/// A mask of a transposed tile.
Value transposedMask(OpBuilder &b, Value mask) {
  auto op = mask ? mask.getDefiningOp<tile::MaskOp>() : tile::MaskOp();
  if (!op)
    return Value();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(op);
  return tile::MaskOp::create(b, op.getLoc(), transposedType(matrixType(mask)), op.getFirst(),
                              op.getEnd(), op.getBegin(), op.getInclusive(), 1 - op.getAxis());
}

/// What hangs on one dot of scores, or on one transpose.
class Scores {
public:
  Scores(Operation *first, int64_t lanes, llvm::DenseMap<Value, Value> &made)
      : first(first), lanes(lanes), made(made) {}

  /// Collects what is to be transposed; false if it cannot be, or there is nothing to gain.
  bool find() {
    if (!addRoot(first))
      return false;
    for (size_t i = 0; i < values.size(); ++i)
      for (Operation *user : values[i].getUsers())
        if (!addUser(user, values[i]))
          return false;
    return true;
  }

  void rewrite() {
    SmallVector<Operation *> inOrder(operations.begin(), operations.end());
    llvm::sort(inOrder, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    for (Operation *op : inOrder)
      rewrite(op);
    for (Operation *op : llvm::reverse(inOrder))
      op->erase();
  }

private:
  /// What begins as a transpose: a dot of scores, or a transpose that the program asks for.
  bool addRoot(Operation *op) {
    auto scores = dyn_cast<tile::DotOp>(op);
    if (op->getBlock() != first->getBlock() || (scores && !gains(scores, lanes)) ||
        (!scores && !isa<tile::TransposeOp>(op)))
      return false;
    roots.insert(op);
    operations.insert(op);
    values.insert(op->getResult(0));
    return true;
  }

  bool addUser(Operation *user, Value value) {
    if (user->getBlock() != first->getBlock())
      return false;
    if (auto dot = dyn_cast<tile::DotOp>(user)) {
      const bool isLeft =
          dot.getA() == value && dot.getB() != value && dot.getAccumulator() != value;
      operations.insert(user);
      return isLeft;
    }
    if (isa<tile::ReduceOp, tile::TransposeOp>(user))
      return operations.insert(user), true;
    if (!isElementwise(user))
      return false;
    operations.insert(user);
    values.insert(user->getResult(0));
    return llvm::all_of(user->getOperands(), [&](Value operand) {
      return !matrixType(operand) || values.contains(operand) || isSpread(operand) ||
             isElsewhere(operand) || (operand.getDefiningOp() && addRoot(operand.getDefiningOp()));
    });
  }

  /// Elementwise of what is still to be met: found again from its own roots.
  bool isElsewhere(Value operand) {
    Operation *op = operand.getDefiningOp();
    if (!op || !isElementwise(op) || op->getBlock() != first->getBlock())
      return false;
    return addUser(op, operand);
  }

  void rewrite(Operation *op) {
    OpBuilder b(op);
    const Location loc = op->getLoc();
    if (auto transpose = dyn_cast<tile::TransposeOp>(op); transpose && roots.contains(op)) {
      known[transpose] = transpose.getValue();
    } else if (transpose) {
      transpose.getResult().replaceAllUsesWith(known.lookup(transpose.getValue()));
    } else if (auto dot = dyn_cast<tile::DotOp>(op); dot && roots.contains(op)) {
      const RankedTensorType type = transposedType(dot.getResult().getType());
      Value queries = transposeOnce(made, dot.getA());
      known[dot] = tile::DotOp::create(b, loc, type, dot.getB(), queries, Value(),
                                       transposedMask(b, dot.getReadWhere()), Value(),
                                       /*transpose_a=*/false, /*transpose_b=*/false,
                                       /*skips_zeros=*/false, dot.getPrecision());
    } else if (auto dot = dyn_cast<tile::DotOp>(op)) {
      Value result = tile::DotOp::create(
          b, loc, dot.getResult().getType(), known.lookup(dot.getA()), dot.getB(),
          dot.getAccumulator(), dot.getReadWhere(), transposedMask(b, dot.getNonzeroWhere()),
          !dot.getTransposeA(), dot.getTransposeB(), /*skips_zeros=*/false, dot.getPrecision());
      dot.getResult().replaceAllUsesWith(result);
    } else if (auto reduce = dyn_cast<tile::ReduceOp>(op)) {
      Value result = tile::ReduceOp::create(b, loc, reduce.getResult().getType(),
                                            known.lookup(reduce.getValue()), reduce.getKind(),
                                            1 - reduce.getAxis());
      reduce.getResult().replaceAllUsesWith(result);
    } else {
      known[op->getResult(0)] = again(b, op);
    }
  }

  /// An elementwise operation on transposed operands.
  Value again(OpBuilder &b, Operation *op) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(matrixType(operand) ? transposed(b, operand) : operand);
    OperationState state(op->getLoc(), op->getName(), operands,
                         {transposedType(matrixType(op->getResult(0)))}, op->getAttrs());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    return b.create(state)->getResult(0);
  }

  Value transposed(OpBuilder &b, Value tile) {
    if (Value done = known.lookup(tile))
      return done;
    Operation *op = tile.getDefiningOp();
    const RankedTensorType type = transposedType(matrixType(tile));
    Value result;
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      const auto splat = cast<SplatElementsAttr>(constant.getValue()).resizeSplat(type);
      result = arith::ConstantOp::create(b, op->getLoc(), splat);
    } else if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
      result = tensor::SplatOp::create(b, op->getLoc(), splat.getInput(), type);
    } else if (auto broadcast = dyn_cast<tile::BroadcastOp>(op)) {
      result = tile::BroadcastOp::create(b, op->getLoc(), type, broadcast.getValue(),
                                         1 - broadcast.getAxis());
    } else {
      result = again(b, op);
    }
    return known[tile] = result;
  }

  Operation *first;
  int64_t lanes;
  llvm::DenseMap<Value, Value> &made;
  llvm::SmallPtrSet<Operation *, 2> roots;
  llvm::SetVector<Value> values;           // to be transposed
  llvm::SetVector<Operation *> operations; // on them
  llvm::DenseMap<Value, Value> known;      // what they have become
};

} // namespace

void transposeScores(func::FuncOp kernel, int64_t lanes) {
  llvm::DenseMap<Value, Value> made;
  auto rewriteFirst = [&](Operation *op) {
    const bool isMade = op->getNumResults() == 1 &&
                        llvm::is_contained(llvm::make_second_range(made), op->getResult(0));
    if (!isa<tile::DotOp, tile::TransposeOp>(op) || isMade)
      return WalkResult::advance();
    Scores scores(op, lanes, made);
    if (!scores.find())
      return WalkResult::advance();
    scores.rewrite(); // erases operations that the walk is at
    return WalkResult::interrupt();
  };
  while (kernel.walk(rewriteFirst).wasInterrupted())
    ;
}

} // namespace nysjit::cpu
