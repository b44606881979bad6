// Finds the tiles that can be turned over, then writes each operation on them again; and sums of
// rows.
#include "compiler/lowering/cpu/rewrite.h"
#include "compiler/lowering/cpu/schedule.h"
#include "compiler/lowering/cpu/visible.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
namespace nysjit::cpu {

namespace {

/// Null for what is no 2-D tile.
RankedTensorType matrixType(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 ? type : RankedTensorType();
}

RankedTensorType turned(RankedTensorType type) {
  return RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
}

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

/// Once, where the tile is made.
Value transposedOnce(llvm::DenseMap<Value, Value> &transposes, Value tile) {
  Value &made = transposes[tile];
  if (!made) {
    OpBuilder b(tile.getContext());
    b.setInsertionPointAfter(tile.getDefiningOp());
    made = tile::TransposeOp::create(
        b, tile.getLoc(),
        RankedTensorType::get(turned(matrixType(tile)).getShape(), b.getF32Type()), tile);
  }
  return made;
}

class Turn {
public:
  /// `root` is a dot of scores or a transpose.
  Turn(Operation *root, llvm::DenseMap<Value, Value> &transposes)
      : root(root), transposes(transposes) {}

  /// Collects what is to be turned; false if it cannot be, or there is nothing to gain.
  bool find(int64_t lanes) {
    if (auto scores = dyn_cast<tile::DotOp>(root); scores && !gains(scores, lanes))
      return false;
    add(root);
    for (size_t i = 0; i < values.size(); ++i)
      for (Operation *user : values[i].getUsers()) {
        if (user->getBlock() != root->getBlock())
          return false;
        auto dot = dyn_cast<tile::DotOp>(user);
        const bool isLeft = dot && dot.getA() == values[i] && !dot.getTransposeA() &&
                            dot.getB() != values[i] && dot.getAccumulator() != values[i];
        if (!isLeft && !isa<tile::ReduceOp>(user) && !isElementwise(user))
          return false;
        add(user);
      }
    return llvm::all_of(operations, [&](Operation *op) {
      return !isElementwise(op) || llvm::all_of(op->getOperands(), [&](Value operand) {
        return !matrixType(operand) || values.contains(operand) || isSpread(operand);
      });
    });
  }

  void rewrite() {
    SmallVector<Operation *> inOrder(operations.begin(), operations.end());
    llvm::sort(inOrder, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    for (Operation *op : inOrder) {
      OpBuilder b(op);
      const Location loc = op->getLoc();
      if (auto transpose = dyn_cast<tile::TransposeOp>(op)) {
        known[transpose] = transpose.getValue();
      } else if (auto scores = dyn_cast<tile::DotOp>(op); scores && op == root) {
        known[scores] = tile::DotOp::create(
            b, loc, turned(scores.getResult().getType()), scores.getB(),
            transposedOnce(transposes, scores.getA()), Value(), Value(), Value(),
            /*transpose_a=*/false, /*transpose_b=*/false, scores.getPrecision());
      } else if (auto dot = dyn_cast<tile::DotOp>(op)) {
        Value result =
            tile::DotOp::create(b, loc, dot.getResult().getType(), known.lookup(dot.getA()),
                                dot.getB(), dot.getAccumulator(), Value(), Value(),
                                /*transpose_a=*/true, dot.getTransposeB(), dot.getPrecision());
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
    for (Operation *op : llvm::reverse(inOrder))
      op->erase();
  }

private:
  /// Keys that come by in a loop, to queries that stay.
  static bool gains(tile::DotOp scores, int64_t lanes) {
    auto loop = scores->getParentOfType<scf::ForOp>();
    Operation *queries = scores.getA().getDefiningOp();
    Operation *keys = scores.getB().getDefiningOp();
    const RankedTensorType type = scores.getResult().getType();
    return loop && queries && !loop->isAncestor(queries) && isa_and_nonnull<tile::LoadOp>(keys) &&
           keys->getBlock() == scores->getBlock() && scores.getTransposeB() &&
           !scores.getTransposeA() && !scores.getAccumulator() && type.getDimSize(0) % lanes == 0 &&
           type.getDimSize(1) % lanes == 0;
  }

  void add(Operation *op) {
    operations.insert(op);
    if (op == root || isElementwise(op))
      values.insert(op->getResult(0));
  }

  /// An elementwise operation on turned operands.
  Value again(OpBuilder &b, Operation *op) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(matrixType(operand) ? turn(b, operand) : operand);
    OperationState state(op->getLoc(), op->getName(), operands,
                         {turned(matrixType(op->getResult(0)))}, op->getAttrs());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    return b.create(state)->getResult(0);
  }

  Value turn(OpBuilder &b, Value tile) {
    if (Value done = known.lookup(tile))
      return done;
    Operation *op = tile.getDefiningOp();
    const RankedTensorType type = turned(matrixType(tile));
    Value made;
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      made = arith::ConstantOp::create(
          b, op->getLoc(), cast<SplatElementsAttr>(constant.getValue()).resizeSplat(type));
    else if (auto splat = dyn_cast<tensor::SplatOp>(op))
      made = tensor::SplatOp::create(b, op->getLoc(), splat.getInput(), type);
    else if (auto broadcast = dyn_cast<tile::BroadcastOp>(op))
      made = tile::BroadcastOp::create(b, op->getLoc(), type, broadcast.getValue(),
                                       1 - broadcast.getAxis());
    else
      made = again(b, op);
    return known[tile] = made;
  }

  Operation *root;
  llvm::DenseMap<Value, Value> &transposes;
  llvm::SetVector<Value> values;           // to be turned
  llvm::SetVector<Operation *> operations; // on them
  llvm::DenseMap<Value, Value> known;      // what they have become
};

} // namespace

void makeOperands(func::FuncOp kernel) {
  kernel.walk([](Operation *op) {
    if (!isa<tile::DotOp, tile::TransposeOp, tile::TriangularSolveOp, tile::CumulativeSumOp>(op))
      return;
    auto dot = dyn_cast<tile::DotOp>(op);
    for (OpOperand &operand : op->getOpOperands()) {
      Operation *maker = Schedule::strip(operand.get()).getDefiningOp();
      if (!maker || !Schedule::isLazy(maker) ||
          (dot && dot.getAccumulator() && operand.getOperandNumber() == 2))
        continue;
      OpBuilder b(op);
      const RankedTensorType type = matrixType(operand.get());
      Value one = arith::ConstantOp::create(
          b, op->getLoc(), SplatElementsAttr::get(type, b.getFloatAttr(type.getElementType(), 1)));
      operand.set(arith::MulFOp::create(b, op->getLoc(), operand.get(), one));
    }
  });
}

void sumRows(func::FuncOp kernel) {
  kernel.walk([](tile::DotOp dot) {
    const bool isSum =
        !dot.getTransposeA() && !dot.getTransposeB() && isLowerTriangleOfOnes(dot.getA());
    if (!isSum || dot.getResult().getType() != dot.getB().getType() ||
        (dot.getAccumulator() && !isAllOf(dot.getAccumulator(), 0)))
      return;
    OpBuilder b(dot);
    Operation *triangle = dot.getA().getDefiningOp();
    Value sums =
        tile::CumulativeSumOp::create(b, dot.getLoc(), dot.getB().getType(), dot.getB(), 0);
    dot.getResult().replaceAllUsesWith(sums);
    dot.erase();
    if (triangle->use_empty())
      triangle->erase();
  });
}

void transposeOnce(func::FuncOp kernel) {
  llvm::DenseMap<Value, Value> transposes;
  kernel.walk([&](tile::DotOp dot) {
    Value b = dot.getB();
    auto loop = dot->getParentOfType<scf::ForOp>();
    if (!dot.getTransposeB() || !loop || !b.getDefiningOp() || loop->isAncestor(b.getDefiningOp()))
      return;
    dot.getBMutable().assign(transposedOnce(transposes, b));
    dot.setTransposeB(false);
  });
}

void turnSoftmaxes(func::FuncOp kernel, int64_t lanes) {
  llvm::DenseMap<Value, Value> transposes;
  auto turnFirst = [&](Operation *op) {
    if (!isa<tile::DotOp, tile::TransposeOp>(op) ||
        llvm::is_contained(llvm::make_second_range(transposes), op->getResult(0)))
      return WalkResult::advance();
    Turn turn(op, transposes);
    if (!turn.find(lanes))
      return WalkResult::advance();
    turn.rewrite(); // erases operations that the walk is at
    return WalkResult::interrupt();
  };
  while (kernel.walk(turnFirst).wasInterrupted())
    ;
}

} // namespace nysjit::cpu
