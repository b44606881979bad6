// Builds the schedule: steps in one walk, then live ranges, then slots shared where one tile dies
// as another is born (a dot accumulates in place; a loop's carried tile, its result and its next
// value are one slot), then offsets.
#include "compiler/lowering/cpu/schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
namespace nysjit::cpu {

static bool isFloatTile(Value value) {
  return tileType(value) && isa<FloatType>(tileType(value).getElementType());
}

bool Schedule::isLazy(Operation *op) {
  if (op->getNumResults() != 1 || !tileType(op->getResult(0)))
    return false;
  if (isa<arith::ConstantOp, tensor::SplatOp, tile::BroadcastOp, tile::IotaOp, tile::MaskOp,
          arith::ExtFOp, arith::SIToFPOp, arith::CmpFOp>(op))
    return true;
  return isa<arith::ArithDialect>(op->getDialect()) && !isFloatTile(op->getResult(0));
}

bool Schedule::isElementwise(Operation *op) {
  if (isa<tile::ScaleRowsOp>(op))
    return true;
  return isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         op->getNumResults() == 1 && isFloatTile(op->getResult(0));
}

/// The one dot that reads a load of float32 rows, all in its view, and may read them where they
/// are; null if there is none.
static tile::DotOp readerInPlace(Operation *op) {
  auto load = dyn_cast_or_null<tile::LoadOp>(op);
  if (!load || !load.getInBounds() || !tileType(load.getResult()).getElementType().isF32() ||
      !load.getResult().hasOneUse())
    return {};
  auto dot = dyn_cast<tile::DotOp>(*load.getResult().getUsers().begin());
  if (!dot || dot->getBlock() != load->getBlock())
    return {};
  for (Operation *between = load->getNextNode(); between != dot; between = between->getNextNode())
    if (!isMemoryEffectFree(between) && !isa<tile::LoadOp, tile::LoadScalarOp>(between))
      return {}; // may be a store to what is read
  return dot;
}

bool Schedule::isReadInPlace(Operation *op) {
  tile::DotOp dot = readerInPlace(op);
  return dot && ((dot.getA() == op->getResult(0) && !dot.getTransposeA()) ||
                 (dot.getB() == op->getResult(0) && dot.getTransposeB()));
}

bool Schedule::isReadWhereContiguous(Operation *op) {
  tile::DotOp dot = readerInPlace(op);
  return dot && dot.getB() == op->getResult(0) && !dot.getTransposeB();
}

/// Whether `operand` may be read from the memory that `view` shows while a dot writes there.
static bool mayAlias(Value operand, tile::ViewOp view) {
  auto load = Schedule::strip(operand).getDefiningOp<tile::LoadOp>();
  auto from = load ? load.getView().getDefiningOp<tile::ViewOp>() : tile::ViewOp();
  return load && (!from || from.getBase() == view.getBase());
}

tile::StoreOp Schedule::sumInMemory(tile::DotOp dot) {
  if (!dot.getAccumulator() || !dot.getResult().hasOneUse() || !dot.getAccumulator().hasOneUse())
    return {};
  auto load = dot.getAccumulator().getDefiningOp<tile::LoadOp>();
  auto store = dyn_cast<tile::StoreOp>(*dot.getResult().getUsers().begin());
  if (!load || !store || !load.getInBounds() || load.getView() != store.getView() ||
      load.getRow() != store.getRow() || load->getBlock() != dot->getBlock() ||
      store->getBlock() != dot->getBlock() || dot.getReadWhere())
    return {};
  auto view = load.getView().getDefiningOp<tile::ViewOp>();
  APInt stride;
  if (!view || !view.getResult().getType().getElement().isF32() ||
      !matchPattern(view.getRowStride(), m_ConstantInt(&stride)) ||
      stride.getSExtValue() != view.getResult().getType().getColumns() ||
      mayAlias(dot.getA(), view) || mayAlias(dot.getB(), view))
    return {};
  for (Operation *between = load->getNextNode(); between != store; between = between->getNextNode())
    if (!isMemoryEffectFree(between) && !isa<tile::LoadOp, tile::LoadScalarOp>(between))
      return {};
  return store;
}

bool Schedule::isOfSumInMemory(Operation *op) {
  tile::DotOp dot;
  if (auto store = dyn_cast_or_null<tile::StoreOp>(op))
    dot = store.getValue().getDefiningOp<tile::DotOp>();
  else if (isa_and_nonnull<tile::LoadOp>(op) && op->getResult(0).hasOneUse())
    dot = dyn_cast<tile::DotOp>(*op->getResult(0).getUsers().begin());
  return dot && sumInMemory(dot) &&
         (isa<tile::StoreOp>(op) || dot.getAccumulator() == op->getResult(0));
}

bool Schedule::reads(Value value, Value tile) {
  Operation *op = value.getDefiningOp();
  return value == tile || (op && isLazy(op) && llvm::any_of(op->getOperands(), [&](Value operand) {
                             return reads(operand, tile);
                           }));
}

Value Schedule::strip(Value value) {
  while (auto widen = value.getDefiningOp<arith::ExtFOp>())
    value = widen.getIn();
  return value;
}

//===- Steps ----------------------------------------------------------------------------------===//

namespace {
/// The rows step being gathered.
struct Group {
  SmallVector<Operation *> operations;
  int64_t rows = 0;
  llvm::DenseSet<Value> produced;   // per row
  llvm::DenseSet<Value> afterwards; // column sums, known only when all rows are done
  bool loads = false;
  bool stores = false;

  /// How `value` depends on this group: not, row by row, or in a way that needs the group finished.
  enum Dependence { None, Row, Whole };
  Dependence dependence(Value value) const {
    if (afterwards.contains(value))
      return Whole;
    if (produced.contains(value))
      return Row;
    Operation *op = value.getDefiningOp();
    if (!op || !Schedule::isLazy(op))
      return None;
    Dependence strongest = None;
    for (Value operand : op->getOperands()) {
      Dependence inner = dependence(operand);
      if (auto broadcast = dyn_cast<tile::BroadcastOp>(op);
          broadcast && broadcast.getAxis() == 1 && inner != None)
        inner = Whole;
      strongest = std::max(strongest, inner);
    }
    return strongest;
  }
  Dependence dependence(Operation *op) const {
    Dependence strongest = None;
    for (Value operand : op->getOperands())
      strongest = std::max(strongest, dependence(operand));
    return strongest;
  }
};

/// Rows of the 2-D tile that an operation works on row by row, or 0.
int64_t rowsOf(Operation *op) {
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return reduce.getValue().getType().getRank() == 2 ? reduce.getValue().getType().getDimSize(0)
                                                      : 0;
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return store.getValue().getType().getRank() == 2 ? store.getValue().getType().getDimSize(0) : 0;
  if (op->getNumResults() != 1)
    return 0;
  RankedTensorType type = tileType(op->getResult(0));
  return type && type.getRank() == 2 ? type.getDimSize(0) : 0;
}

/// The tile that an operation transposes in blocks of eight or more; null for others.
Value transposedBy(Operation *op) {
  if (auto transpose = dyn_cast<tile::TransposeOp>(op))
    return transpose.getValue();
  auto dot = dyn_cast<tile::DotOp>(op);
  return dot && dot.getTransposeB() ? dot.getB() : Value();
}

/// Whether a carried tile is carried on to a later place: its own has its next value by then.
bool carriesToLater(CarryingLoop loop) {
  for (auto [i, next] : llvm::enumerate(loop.next()))
    for (BlockArgument argument : ArrayRef<BlockArgument>(loop.arguments()).take_front(i))
      if (tileType(argument) && Schedule::reads(next, argument))
        return true;
  return false;
}
} // namespace

/// The steps of one block while they are made.
class Schedule::BlockSteps {
public:
  explicit BlockSteps(Schedule &schedule) : schedule(schedule) {}

  LogicalResult add(Operation *op) {
    if (isLazy(op) || isReadInPlace(op) || isOfSumInMemory(op))
      return success();
    if (isa<scf::ForOp, scf::WhileOp, scf::IfOp>(op))
      return addRegions(op);
    if (Value value = transposedBy(op);
        value && !llvm::all_of(tileType(value).getShape(), [](int64_t n) { return n % 8 == 0; }))
      return op->emitOpError("expects sides by eights of what it transposes, found ")
             << value.getType();
    if (isa<tile::DotOp, tile::TransposeOp, tile::TriangularSolveOp>(op)) {
      flush();
      addStep(isa<tile::DotOp>(op)         ? StepKind::Dot
              : isa<tile::TransposeOp>(op) ? StepKind::Transpose
                                           : StepKind::Solve,
              {op});
      return success();
    }
    if (isa<tile::SyncOp>(op))
      return flush(), success();
    if (const int64_t rows = rowsOf(op))
      return addRows(op, rows);
    auto isTile = [](Value value) { return bool(tileType(value)); };
    if (llvm::any_of(op->getOperands(), isTile) || llvm::any_of(op->getResults(), isTile))
      return addVector(op);
    addStep(StepKind::Scalar, {op});
    return success();
  }

  SmallVector<Step> finish() {
    flush();
    return std::move(list);
  }

private:
  static bool loads(Operation *op) { return isa<tile::LoadOp, tile::GatherOp>(op); }
  static bool stores(Operation *op) { return isa<tile::StoreOp>(op); }
  /// What the group stores may be what `op` loads, or the other way round.
  bool mayConflict(Operation *op) const {
    return (loads(op) && group.stores) || (stores(op) && group.loads);
  }

  void addStep(StepKind kind, ArrayRef<Operation *> operations, int64_t rows = 0) {
    const int64_t time = ++schedule.clock;
    list.push_back(Step{kind, SmallVector<Operation *>(operations), rows, time, time});
    for (Operation *op : operations)
      schedule.times[op] = {time, time};
  }

  void flush() {
    if (!group.operations.empty())
      addStep(StepKind::Rows, group.operations, group.rows);
    group = Group();
  }

  void join(Operation *op, int64_t rows) {
    group.rows = rows;
    group.operations.push_back(op);
    auto reduce = dyn_cast<tile::ReduceOp>(op);
    for (Value result : op->getResults())
      (reduce && reduce.getAxis() == 0 ? group.afterwards : group.produced).insert(result);
    group.loads |= loads(op);
    group.stores |= stores(op);
  }

  /// A loop or branch, and what lies inside it.
  LogicalResult addRegions(Operation *op) {
    flush();
    const int64_t begin = ++schedule.clock;
    CarryingLoop loop(op);
    if (loop) {
      if (failed(loop.verify()) || failed(schedule.scheduleBlock(loop.body())))
        return failure();
    } else {
      for (Region &region : op->getRegions())
        for (Block &inner : region)
          if (failed(schedule.scheduleBlock(&inner)))
            return failure();
    }
    const int64_t end = ++schedule.clock;
    schedule.times[op] = {begin, end};
    if (loop && carriesToLater(loop))
      return op->emitOpError("expects a carried tile to be carried on in its own place or an "
                             "earlier one; the cpu lowering copies one after the other");
    list.push_back(Step{loop ? StepKind::Loop : StepKind::Branch, {op}, 0, begin, end});
    return success();
  }

  /// On 2-D tiles, row by row.
  LogicalResult addRows(Operation *op, int64_t rows) {
    if (!isElementwise(op) && !loads(op) && !stores(op) &&
        !isa<tile::ReduceOp, tile::CumulativeSumOp>(op))
      return op->emitOpError("expected an operation that the cpu lowering knows");
    const bool isAlone = isReadWhereContiguous(op);
    if (isAlone || (group.rows && group.rows != rows) || group.dependence(op) == Group::Whole ||
        mayConflict(op))
      flush();
    join(op, rows);
    if (isAlone)
      flush();
    return success();
  }

  /// On 1-D tiles: with its row's group if it depends on it, else as a whole vector.
  LogicalResult addVector(Operation *op) {
    const Group::Dependence dependence = group.dependence(op);
    if (isElementwise(op) && dependence == Group::Row)
      return join(op, group.rows), success();
    if (dependence != Group::None || mayConflict(op))
      flush();
    if (isa<tile::ReduceOp>(op))
      addStep(StepKind::Reduce, {op});
    else if (isElementwise(op) || loads(op) || stores(op))
      addStep(StepKind::Vector, {op});
    else
      return op->emitOpError("expected an operation that the cpu lowering knows");
    return success();
  }

  Schedule &schedule;
  SmallVector<Step> list;
  Group group;
};

LogicalResult Schedule::scheduleBlock(Block *block) {
  BlockSteps steps(*this);
  for (Operation &op : block->without_terminator())
    if (failed(steps.add(&op)))
      return failure();
  blocks[block] = steps.finish(); // only now: nested blocks move that map
  return success();
}

FailureOr<Schedule> Schedule::create(Operation *kernel) {
  Schedule schedule;
  Block *body = &cast<func::FuncOp>(kernel).getBody().front();
  if (failed(schedule.scheduleBlock(body)))
    return failure();
  schedule.findUses(body);
  schedule.mergeSlots(body);
  schedule.assignOffsets();
  return schedule;
}

} // namespace nysjit::cpu
