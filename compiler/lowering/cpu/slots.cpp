// The second half of the schedule: live ranges, slots shared where one tile dies as another is
// born, and offsets.
#include "compiler/lowering/cpu/schedule.h"

#include <algorithm>

using namespace mlir;
namespace nysjit::cpu {

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
  if (isReadInPlace(maker) || isOfSumInMemory(maker))
    return;
  auto reduce = maker ? dyn_cast<tile::ReduceOp>(maker) : tile::ReduceOp();
  const bool afterRows = reduce && reduce.getAxis() == 0;
  const bool sameStep =
      maker && step.kind == StepKind::Rows && times.lookup(maker).first == step.begin && !afterRows;
  if (sameStep)
    return;
  int64_t birth;
  Block *home = value.getParentBlock();
  if (maker)
    birth = CarryingLoop(maker) ? times.lookup(maker).second : times.lookup(maker).first;
  else
    birth = times.lookup(home->getParentOp()).first;
  // A use inside a loop that the value was made outside of lasts until that loop ends.
  Operation *ancestor = home->findAncestorOpInBlock(*user);
  const int64_t death = ancestor == user ? step.end : times.lookup(ancestor).second;
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
      CarryingLoop loop(op);
      if (!loop) {
        for (Region &region : op->getRegions())
          for (Block &inner : region)
            findUses(&inner);
        continue;
      }
      findUses(loop.body());
      // Carried tiles have a slot from the loop's begin to its end, and their result has the same.
      for (auto [argument, result] : llvm::zip(loop.arguments(), loop.results())) {
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
      Operation *terminator = loop.body()->getTerminator();
      times[terminator] = {step.end, step.end};
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
  CarryingLoop loop(result.getDefiningOp());
  return loop && llvm::count(loop.inits(), value) == 1 &&
         loop.inits()[cast<OpResult>(result).getResultNumber()] == value;
}

/// A dot accumulates, and a solve works, in place over an operand that dies there; a row of a 2-D
/// tile is read before one is written.
void Schedule::mergeOperands(Operation *op, const Step &step) {
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
  if (step.kind != StepKind::Rows || !isElementwise(op) || !needsSlot(op->getResult(0)))
    return;
  for (Value operand : op->getOperands())
    if (operand.getType() == op->getResult(0).getType() && tileType(operand).getRank() == 2 &&
        needsSlot(operand) && intervals[root(operand)].end <= step.begin &&
        intervals[root(op->getResult(0))].begin >= step.begin) {
      unite(operand, op->getResult(0));
      return;
    }
}

/// Whether `op`, which makes the next value, reads `value` in a way that forbids to write over it:
/// a dot may write over its accumulator only, a solve over its right side, a transpose over
/// nothing.
static bool forbidsWritingOver(Operation *op, Value value) {
  auto dot = dyn_cast<tile::DotOp>(op);
  auto solve = dyn_cast<tile::TriangularSolveOp>(op);
  const auto isValue = [&](Value operand) { return Schedule::strip(operand) == value; };
  return isa<tile::TransposeOp>(op) || (dot && (isValue(dot.getA()) || isValue(dot.getB()))) ||
         (solve && isValue(solve.getTriangle()));
}

/// Whether nothing reads a carried tile any more when its next value, which lives for `life`, is
/// written.
bool Schedule::isDeadBefore(CarryingLoop loop, Value argument, Value next, const Interval &life,
                            int64_t loopBegin) {
  int64_t lastRead = loopBegin;
  SmallVector<Value> work = {argument};
  while (!work.empty()) {
    Value value = work.pop_back_val();
    for (Operation *user : value.getUsers()) {
      Operation *here = loop.body()->findAncestorOpInBlock(*user);
      if (here == loop.body()->getTerminator())
        return false; // carried on to another place as well
      if (isLazy(user)) {
        work.push_back(user->getResult(0));
        continue;
      }
      const auto [begin, end] = times.lookup(here);
      lastRead = std::max(lastRead, user == here && isBegunWith(next, value) ? begin : end);
      if (begin == life.begin && forbidsWritingOver(here, value))
        return false;
    }
  }
  return lastRead <= life.begin;
}

/// The next value is written over the carried one if nothing reads the carried one any more.
void Schedule::mergeCarried(CarryingLoop loop, const Step &step) {
  for (auto [argument, result] : llvm::zip(loop.arguments(), loop.results()))
    if (tileType(argument))
      unite(argument, result);
  mergeSlots(loop.body());
  llvm::DenseSet<Value> merged;
  for (auto [argument, next] : llvm::zip(loop.arguments(), loop.next())) {
    if (!tileType(argument) || next == argument || !needsSlot(next) || !next.getDefiningOp() ||
        next.getParentBlock() != loop.body() || !merged.insert(root(next)).second)
      continue;
    const Interval life = intervals[root(next)];
    if (life.begin <= step.begin)
      continue; // shares a slot with something older
    if (isDeadBefore(loop, argument, next, life, step.begin))
      unite(argument, next);
  }
}

void Schedule::mergeSlots(Block *block) {
  for (const Step &step : blocks[block]) {
    for (Operation *op : step.operations) {
      mergeOperands(op, step);
      if (CarryingLoop loop(op); loop)
        mergeCarried(loop, step);
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

} // namespace nysjit::cpu
