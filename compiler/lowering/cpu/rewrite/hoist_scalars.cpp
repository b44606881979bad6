// Moves each scalar operation behind the last of its operands, or to the block's start.
#include "compiler/lowering/cpu/rewrite/rewrites.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
namespace nysjit::cpu {

static bool isScalar(Value value) {
  return isa<IntegerType, IndexType, tile::PointerType, tile::ViewType>(value.getType());
}

void hoistScalars(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator())) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        hoistScalars(inner);
    if (op.getNumRegions() || op.getNumResults() != 1 || !isScalar(op.getResult(0)) ||
        !isMemoryEffectFree(&op) || !llvm::all_of(op.getOperands(), isScalar))
      continue;
    Operation *latest = nullptr;
    for (Value operand : op.getOperands())
      if (Operation *maker = operand.getDefiningOp();
          maker && maker->getBlock() == &block && (!latest || latest->isBeforeInBlock(maker)))
        latest = maker;
    if (latest)
      op.moveAfter(latest);
    else
      op.moveBefore(&block, block.begin());
  }
}

} // namespace nysjit::cpu
