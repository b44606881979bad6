// Along what each 1-D tile is needed: rows, columns or both.
#include "compiler/lowering/gpu/kernel_plan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::gpu {

/// The spread in which a value comes about, 0 if any will do.
static unsigned naturalSpread(Value value, unsigned depth = 0) {
  Operation *op = value.getDefiningOp();
  if (!op || depth > 16)
    return 0;
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return reduce.getAxis() == 1 ? OverRows : OverColumns;
  if (auto loop = dyn_cast<scf::ForOp>(op)) // that of what the body makes
    return naturalSpread(loop.getYieldedValues()[cast<OpResult>(value).getResultNumber()],
                         depth + 1);
  if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    Value last = loop.getConditionOp().getArgs()[cast<OpResult>(value).getResultNumber()];
    if (auto carried = dyn_cast<BlockArgument>(last);
        carried && carried.getOwner() == loop.getBeforeBody())
      last = loop.getYieldOp().getOperand(carried.getArgNumber());
    return naturalSpread(last, depth + 1);
  }
  if (isa<tile::LoadOp, tile::GatherOp, tile::IotaOp, tensor::SplatOp, arith::ConstantOp>(op))
    return 0;
  for (Value operand : op->getOperands())
    if (isOneDimensional(operand))
      if (unsigned spread = naturalSpread(operand, depth + 1))
        return spread;
  return 0;
}

/// Adds `spreads` to what a value needs; false if it had them.
static bool need(llvm::DenseMap<Value, unsigned> &needed, Value value, unsigned spreads) {
  unsigned &known = needed[value];
  const unsigned before = known;
  known |= spreads;
  return known != before;
}

/// What stands for one carried tile: it has the spreads that its uses in the loop and after it
/// need.
/// What it starts from and what the body yields must have those, and may have others for uses of
/// their own.
using CarriedTile = std::pair<SmallVector<Value, 2>, SmallVector<Value, 2>>; // uses, sources

static SmallVector<CarriedTile> carriedTiles(Operation *op) {
  SmallVector<CarriedTile> carried;
  if (auto loop = dyn_cast<scf::ForOp>(op))
    for (unsigned i = 0; i < loop.getNumResults(); ++i)
      carried.push_back({{loop.getResult(i), loop.getRegionIterArg(i)},
                         {loop.getInitArgs()[i], loop.getYieldedValues()[i]}});
  if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    for (unsigned i = 0; i < loop.getBeforeArguments().size(); ++i)
      carried.push_back(
          {{loop.getBeforeArguments()[i]}, {loop.getInits()[i], loop.getYieldOp().getOperand(i)}});
    for (unsigned i = 0; i < loop.getNumResults(); ++i)
      carried.push_back(
          {{loop.getResult(i), loop.getAfterArguments()[i]}, {loop.getConditionOp().getArgs()[i]}});
  }
  llvm::erase_if(carried, [](const CarriedTile &tile) { return !isOneDimensional(tile.first[0]); });
  return carried;
}

void KernelPlan::planSpreads(func::FuncOp kernel) {
  auto propagate = [&] {
    for (bool changed = true; changed;) {
      changed = false;
      kernel.walk([&](Operation *op) {
        if (auto broadcast = dyn_cast<tile::BroadcastOp>(op)) {
          changed |= need(neededSpreads, broadcast.getValue(),
                          broadcast.getAxis() == 0 ? OverRows : OverColumns);
          return;
        }
        for (const auto &[uses, sources] : carriedTiles(op)) {
          unsigned spreads = 0;
          for (Value use : uses)
            spreads |= neededSpreads[use];
          for (Value place : llvm::concat<const Value>(uses, sources))
            changed |= need(neededSpreads, place, spreads);
        }
        if (op->getNumResults() != 1 || !isOneDimensional(op->getResult(0)) ||
            isa<tile::ReduceOp, scf::ForOp, scf::WhileOp>(op))
          return;
        for (Value operand : op->getOperands())
          if (isOneDimensional(operand))
            changed |= need(neededSpreads, operand, neededSpreads[op->getResult(0)]);
      });
    }
  };
  propagate();
  // What only a store or a reduction to a scalar takes is left as it comes about.
  kernel.walk([&](Operation *op) {
    if (!isa<tile::StoreOp, tile::ReduceOp>(op))
      return;
    Value value = op->getOperand(0);
    if (!isOneDimensional(value) || neededSpreads[value])
      return;
    const unsigned natural = naturalSpread(value);
    neededSpreads[value] = natural ? natural : OverColumns;
    propagate();
  });
}

} // namespace nysjit::gpu
