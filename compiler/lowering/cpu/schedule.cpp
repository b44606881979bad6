// Builds the schedule: steps in one walk, then live ranges, then slots shared where one tile dies
// as another is born (a dot accumulates in place; a loop's carried tile, its result and its next
// value are one slot), then offsets.
#include "compiler/lowering/cpu/schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::cpu {

static bool isFloatTile(Value value) {
  return tileType(value) && isa<FloatType>(tileType(value).getElementType());
}

bool Schedule::isLazy(Operation *op) {
  if (op->getNumResults() != 1 || !tileType(op->getResult(0)))
    return false;
  if (isa<arith::ConstantOp, tensor::SplatOp, tile::BroadcastOp, tile::IotaOp, arith::ExtFOp,
          arith::SIToFPOp, arith::CmpFOp>(op))
    return true;
  return isa<arith::ArithDialect>(op->getDialect()) && !isFloatTile(op->getResult(0));
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
bool carriesToLaterPlace(scf::ForOp loop) {
  for (auto [i, next] : llvm::enumerate(loop.getYieldedValues()))
    for (BlockArgument argument : loop.getRegionIterArgs().take_front(i))
      if (tileType(argument) && Schedule::reads(next, argument))
        return true;
  return false;
}

bool isElementwise(Operation *op) {
  return isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         op->getNumResults() == 1 && isFloatTile(op->getResult(0));
}
} // namespace

LogicalResult Schedule::scheduleBlock(Block *block) {
  SmallVector<Step> list; // into `blocks` at the end: nested blocks move that map
  Group group;
  auto add = [&](StepKind kind, ArrayRef<Operation *> operations, int64_t rows = 0) {
    Step step{kind, SmallVector<Operation *>(operations), rows, ++clock, clock};
    list.push_back(step);
    for (Operation *op : operations)
      place[op] = {clock, clock};
  };
  auto flush = [&] {
    if (!group.operations.empty())
      add(StepKind::Rows, group.operations, group.rows);
    group = Group();
  };
  auto join = [&](Operation *op, int64_t rows) {
    group.rows = rows;
    group.operations.push_back(op);
    auto reduce = dyn_cast<tile::ReduceOp>(op);
    for (Value result : op->getResults())
      (reduce && reduce.getAxis() == 0 ? group.afterwards : group.produced).insert(result);
    group.loads |= isa<tile::LoadOp>(op);
    group.stores |= isa<tile::StoreOp>(op);
  };

  for (Operation &operation : block->without_terminator()) {
    Operation *op = &operation;
    if (isLazy(op) || isReadInPlace(op))
      continue;
    if (isa<scf::ForOp, scf::IfOp>(op)) {
      flush();
      const int64_t begin = ++clock;
      for (Region &region : op->getRegions())
        for (Block &inner : region)
          if (failed(scheduleBlock(&inner)))
            return failure();
      place[op] = {begin, ++clock};
      const StepKind kind = isa<scf::ForOp>(op) ? StepKind::Loop : StepKind::Branch;
      if (auto loop = dyn_cast<scf::ForOp>(op); loop && carriesToLaterPlace(loop))
        return op->emitOpError("expects a carried tile to be carried on in its own place or an "
                               "earlier one; the cpu lowering copies one after the other");
      list.push_back(Step{kind, {op}, 0, begin, clock});
      continue;
    }
    if (Value value = transposedBy(op);
        value && !llvm::all_of(tileType(value).getShape(), [](int64_t n) { return n % 8 == 0; }))
      return op->emitOpError("expects sides by eights of what it transposes, found ")
             << value.getType();
    if (isa<tile::DotOp, tile::TransposeOp, tile::TriangularSolveOp>(op)) {
      flush();
      add(isa<tile::DotOp>(op)         ? StepKind::Dot
          : isa<tile::TransposeOp>(op) ? StepKind::Transpose
                                       : StepKind::Solve,
          {op});
      continue;
    }
    if (isa<tile::SyncOp>(op)) {
      flush();
      continue;
    }
    if (const int64_t rows = rowsOf(op)) {
      if (!isElementwise(op) &&
          !isa<tile::LoadOp, tile::StoreOp, tile::ReduceOp, tile::CumulativeSumOp>(op))
        return op->emitOpError("expected an operation that the cpu lowering knows");
      const bool isAlone = isReadWhereContiguous(op);
      if (isAlone || (group.rows && group.rows != rows) || group.dependence(op) == Group::Whole ||
          (isa<tile::LoadOp>(op) && group.stores) || (isa<tile::StoreOp>(op) && group.loads))
        flush();
      join(op, rows);
      if (isAlone)
        flush();
      continue;
    }
    const bool onTiles =
        llvm::any_of(op->getOperands(), [](Value v) { return bool(tileType(v)); }) ||
        llvm::any_of(op->getResults(), [](Value v) { return bool(tileType(v)); });
    if (!onTiles) {
      add(StepKind::Scalar, {op});
      continue;
    }
    // 1-D: with its row's group if it depends on it, else as a whole vector.
    const Group::Dependence dependence = group.dependence(op);
    if (isElementwise(op) && dependence == Group::Row) {
      join(op, group.rows);
      continue;
    }
    if (dependence != Group::None || (isa<tile::StoreOp>(op) && group.loads) ||
        (isa<tile::LoadOp>(op) && group.stores))
      flush();
    if (isa<tile::ReduceOp>(op))
      add(StepKind::Reduce, {op});
    else if (isElementwise(op) || isa<tile::LoadOp, tile::StoreOp>(op))
      add(StepKind::Vector, {op});
    else
      return op->emitOpError("expected an operation that the cpu lowering knows");
  }
  flush();
  blocks[block] = std::move(list);
  return success();
}

//===- Live ranges ----------------------------------------------------------------------------===//

/// `value`, or what it is computed from again, is read by `step`.
void Schedule::useAt(Value value, Operation *user, const Step &step) {
  value = strip(value);
  if (!tileType(value))
    return;
  if (Operation *op = value.getDefiningOp(); op && isLazy(op)) {
    for (Value operand : op->getOperands())
      useAt(operand, user, step);
    return;
  }
  // In registers only if the same rows step makes and reads it.
  Operation *maker = value.getDefiningOp();
  if (isReadInPlace(maker))
    return;
  auto reduce = maker ? dyn_cast<tile::ReduceOp>(maker) : tile::ReduceOp();
  const bool afterRows = reduce && reduce.getAxis() == 0;
  const bool sameStep =
      maker && step.kind == StepKind::Rows && place.lookup(maker).first == step.begin && !afterRows;
  if (sameStep)
    return;
  int64_t birth;
  Block *home = value.getParentBlock();
  if (maker)
    birth = isa<scf::ForOp>(maker) ? place.lookup(maker).second : place.lookup(maker).first;
  else
    birth = place.lookup(home->getParentOp()).first;
  // A use inside a loop that the value was made outside of lasts until that loop ends.
  Operation *ancestor = home->findAncestorOpInBlock(*user);
  const int64_t death = ancestor == user ? step.end : place.lookup(ancestor).second;
  auto [entry, isNew] = intervals.insert({value, Interval{birth, death}});
  entry->second.end = std::max(entry->second.end, death);
  if (isNew)
    parent[value] = value;
}

void Schedule::findUses(Block *block) {
  for (const Step &step : blocks[block]) {
    for (Operation *op : step.operations) {
      for (Value operand : op->getOperands())
        useAt(operand, op, step);
      for (Region &region : op->getRegions())
        for (Block &inner : region)
          findUses(&inner);
      auto loop = dyn_cast<scf::ForOp>(op);
      if (!loop)
        continue;
      // Carried tiles have a slot from the loop's begin to its end, and their result has the same.
      for (auto [argument, result] : llvm::zip(loop.getRegionIterArgs(), loop.getResults())) {
        if (!tileType(argument))
          continue;
        intervals[argument] = Interval{step.begin, step.end};
        parent[argument] = argument;
        if (!intervals.count(result)) {
          intervals[result] = Interval{step.end, step.end};
          parent[result] = result;
        }
      }
      Step yield{StepKind::Loop, {}, 0, step.end, step.end};
      Operation *terminator = loop.getBody()->getTerminator();
      place[terminator] = {step.end, step.end};
      for (Value value : terminator->getOperands())
        useAt(value, terminator, yield);
    }
  }
}

//===- Shared slots ---------------------------------------------------------------------------===//

Value Schedule::root(Value value) const {
  while (parent.lookup(value) != value)
    value = parent.lookup(value);
  return value;
}

void Schedule::unite(Value a, Value b) {
  a = root(a);
  b = root(b);
  if (a == b)
    return;
  Interval &into = intervals[a];
  const Interval from = intervals[b];
  into = {std::min(into.begin, from.begin), std::max(into.end, from.end)};
  parent[b] = a;
}

/// Whether a loop's result began as `value`, which the loop reads as nothing else.
static bool isBegunWith(Value result, Value value) {
  auto loop = result.getDefiningOp<scf::ForOp>();
  return loop && llvm::count(loop.getInitArgs(), value) == 1 &&
         loop.getInitArgs()[cast<OpResult>(result).getResultNumber()] == value;
}

void Schedule::mergeSlots(Block *block) {
  for (const Step &step : blocks[block]) {
    for (Operation *op : step.operations) {
      // A dot accumulates, and a solve works, in place over an operand that dies there.
      Value result;
      Value over;
      if (auto dot = dyn_cast<tile::DotOp>(op)) {
        result = dot.getResult();
        over = dot.getAccumulator();
        if (over && (strip(dot.getA()) == over || strip(dot.getB()) == over))
          over = Value();
      } else if (auto solve = dyn_cast<tile::TriangularSolveOp>(op)) {
        result = solve.getResult();
        over = solve.getRhs();
      }
      if (over && needsSlot(over) && needsSlot(result) && intervals[root(over)].end <= step.begin)
        unite(over, result);
      // A row of a 2-D tile is read before one is written.
      if (step.kind == StepKind::Rows && isElementwise(op) && needsSlot(op->getResult(0)))
        for (Value operand : op->getOperands())
          if (operand.getType() == op->getResult(0).getType() && tileType(operand).getRank() == 2 &&
              needsSlot(operand) && intervals[root(operand)].end <= step.begin &&
              intervals[root(op->getResult(0))].begin >= step.begin) {
            unite(operand, op->getResult(0));
            break;
          }

      auto loop = dyn_cast<scf::ForOp>(op);
      if (!loop)
        continue;
      for (auto [argument, loopResult] : llvm::zip(loop.getRegionIterArgs(), loop.getResults()))
        if (tileType(argument))
          unite(argument, loopResult);
      mergeSlots(loop.getBody());
      // The next value is written over the carried one if nothing reads the carried one any more.
      llvm::DenseSet<Value> merged;
      for (auto [argument, next] :
           llvm::zip(loop.getRegionIterArgs(), loop.getBody()->getTerminator()->getOperands())) {
        if (!tileType(argument) || next == argument || !needsSlot(next) || !next.getDefiningOp() ||
            next.getParentBlock() != loop.getBody() || !merged.insert(root(next)).second)
          continue;
        const Interval life = intervals[root(next)];
        if (life.begin <= step.begin)
          continue; // shares a slot with something older
        int64_t lastRead = step.begin;
        bool blocked = false;
        SmallVector<Value> work = {argument};
        while (!work.empty()) {
          Value value = work.pop_back_val();
          for (Operation *user : value.getUsers()) {
            Operation *here = loop.getBody()->findAncestorOpInBlock(*user);
            if (here == loop.getBody()->getTerminator()) {
              blocked = true; // carried on to another place as well
            } else if (isLazy(user)) {
              work.push_back(user->getResult(0));
            } else {
              const auto [begin, end] = place.lookup(here);
              lastRead = std::max(lastRead, user == here && isBegunWith(next, value) ? begin : end);
              // A dot may write in place over its accumulator only, a solve over its right side, a
              // transpose over nothing.
              if (begin == life.begin) {
                auto dot = dyn_cast<tile::DotOp>(here);
                auto solve = dyn_cast<tile::TriangularSolveOp>(here);
                blocked |= isa<tile::TransposeOp>(here) ||
                           (dot && (strip(dot.getA()) == value || strip(dot.getB()) == value)) ||
                           (solve && strip(solve.getTriangle()) == value);
              }
            }
          }
        }
        if (!blocked && lastRead <= life.begin)
          unite(argument, next);
      }
    }
    for (Operation *op : step.operations)
      if (auto branch = dyn_cast<scf::IfOp>(op))
        for (Region *region : branch.getRegions())
          for (Block &inner : *region)
            mergeSlots(&inner);
  }
}

//===- Offsets --------------------------------------------------------------------------------===//

static int64_t bytesOf(RankedTensorType type) {
  return llvm::alignTo(type.getNumElements() * 4, 64);
}

void Schedule::assignOffsets() {
  struct Slot {
    Interval life;
    int64_t bytes;
    int64_t offset = 0;
    Value value;
    Operation *dot = nullptr;
    size_t number = 0;
  };
  std::vector<Slot> slots;
  for (auto &[value, life] : intervals)
    if (root(value) == value)
      slots.push_back({life, bytesOf(tileType(value)), 0, value});
  for (auto &[block, list] : blocks)
    for (const Step &step : list)
      if (auto dot = dyn_cast<tile::DotOp>(step.operations.front()); dot && dot.getTransposeB())
        slots.push_back({{step.begin, step.end}, bytesOf(dot.getB().getType()), 0, Value(), dot});
  // First fit in the order of birth, tiles that live alike as they were found.
  for (size_t i = 0; i < slots.size(); ++i)
    slots[i].number = i;
  std::sort(slots.begin(), slots.end(), [](const Slot &a, const Slot &b) {
    return std::tuple(a.life.begin, a.life.end, a.bytes, a.dot != nullptr, a.number) <
           std::tuple(b.life.begin, b.life.end, b.bytes, b.dot != nullptr, b.number);
  });
  for (size_t i = 0; i < slots.size(); ++i) {
    bool moved = true;
    while (moved) {
      moved = false;
      for (size_t j = 0; j < i; ++j)
        if (slots[j].life.begin <= slots[i].life.end && slots[i].life.begin <= slots[j].life.end &&
            slots[j].offset < slots[i].offset + slots[i].bytes &&
            slots[i].offset < slots[j].offset + slots[j].bytes) {
          slots[i].offset = slots[j].offset + slots[j].bytes;
          moved = true;
        }
    }
    totalBytes = std::max(totalBytes, slots[i].offset + slots[i].bytes);
    if (slots[i].dot)
      transposed[slots[i].dot] = slots[i].offset;
    else
      offsets[slots[i].value] = slots[i].offset;
  }
}

std::optional<int64_t> Schedule::slot(Value value) const {
  value = strip(value);
  if (!intervals.count(value))
    return std::nullopt;
  return offsets.lookup(root(value));
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
