#include "compiler/lowering/forget_roundings.h"
#include "compiler/tile/dialect/Tile.h"

using namespace mlir;
namespace nysjit {

void forgetRoundings(func::FuncOp kernel) {
  kernel.walk([](tile::RoundOperandOp rounding) {
    rounding.replaceAllUsesWith(rounding.getValue());
    rounding.erase();
  });
}

} // namespace nysjit
