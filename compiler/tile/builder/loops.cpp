// Kernel's loops: scf.for and scf.while whose carried tiles the C++ variables follow.
#include "compiler/tile/builder/emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
namespace nysjit {

void Kernel::forRange(Range range, ScalarOperand step, const Carry &carry,
                      const std::function<void(Scalar)> &body) {
  OpBuilder &builder = emit->builder;
  SmallVector<Value> initial;
  SmallVector<Axis> axes;
  for (Tile *tile : carry) {
    initial.push_back(emit->visible(tile->irValue(), step.where));
    axes.push_back(tile->axis());
  }
  auto loop = scf::ForOp::create(builder, emit->at(step.where),
                                 emit->integer(range.begin, false, step.where),
                                 emit->integer(range.end, false, step.where),
                                 emit->integer(step.scalar, false, step.where), initial);
  {
    OpBuilder::InsertionGuard guard(builder);
    if (initial.empty())
      builder.setInsertionPoint(loop.getBody()->getTerminator());
    else
      builder.setInsertionPointToStart(loop.getBody());
    for (size_t i = 0; i < carry.size(); ++i)
      *carry[i] = emit->tile(loop.getRegionIterArg(i), axes[i]);
    body(emit->scalar(loop.getInductionVar(), false));
    SmallVector<Value> next;
    for (size_t i = 0; i < carry.size(); ++i) {
      next.push_back(emit->visible(carry[i]->irValue(), step.where));
      if (next.back().getType() != initial[i].getType())
        failTemplate(step.where, "expected a carried tile to keep its shape and type");
    }
    if (!initial.empty())
      scf::YieldOp::create(builder, emit->at(step.where), next);
  }
  for (size_t i = 0; i < carry.size(); ++i)
    *carry[i] = emit->tile(loop.getResult(i), axes[i]);
}

void Kernel::forWholeTiles(Range range, int block, const Carry &carry,
                           const std::function<void(Scalar)> &body, SourceLocation loc) {
  forRange(range, ScalarOperand(block, loc), carry, [&](Scalar t) {
    emit->wholeTile = t.irValue();
    emit->wholeTileRows = block;
    body(t);
    emit->wholeTile = nullptr;
  });
}

void Kernel::whileLoop(const Carry &carry, const std::function<Scalar()> &condition,
                       const std::function<void()> &body, SourceLocation loc) {
  OpBuilder &builder = emit->builder;
  SmallVector<Value> initial;
  SmallVector<Axis> axes;
  for (Tile *tile : carry) {
    initial.push_back(emit->visible(tile->irValue(), loc));
    axes.push_back(tile->axis());
  }
  auto rebind = [&](ValueRange values) {
    for (size_t i = 0; i < carry.size(); ++i)
      *carry[i] = emit->tile(values[i], axes[i]);
  };
  auto test = [&](OpBuilder &, Location at, ValueRange carried) {
    rebind(carried);
    const Scalar holds = condition();
    Value number = emit->integer(holds, holds.isWide(), loc);
    Value zero =
        arith::ConstantOp::create(builder, at, builder.getIntegerAttr(number.getType(), 0));
    Value bit = arith::CmpIOp::create(builder, at, arith::CmpIPredicate::ne, number, zero);
    scf::ConditionOp::create(builder, at, bit, carried);
  };
  auto iterate = [&](OpBuilder &, Location at, ValueRange carried) {
    rebind(carried);
    body();
    SmallVector<Value> next;
    for (size_t i = 0; i < carry.size(); ++i) {
      next.push_back(emit->visible(carry[i]->irValue(), loc));
      if (next.back().getType() != initial[i].getType())
        failTemplate(loc, "expected a carried tile to keep its shape and type");
    }
    scf::YieldOp::create(builder, at, next);
  };
  OpBuilder::InsertionGuard guard(builder);
  const SmallVector<Type> types = llvm::map_to_vector(initial, [](Value v) { return v.getType(); });
  auto loop = scf::WhileOp::create(builder, emit->at(loc), types, initial);
  Block *before = builder.createBlock(&loop.getBefore(), {}, types,
                                      SmallVector<Location>(types.size(), emit->at(loc)));
  test(builder, emit->at(loc), before->getArguments());
  Block *after = builder.createBlock(&loop.getAfter(), {}, types,
                                     SmallVector<Location>(types.size(), emit->at(loc)));
  iterate(builder, emit->at(loc), after->getArguments());
  rebind(loop.getResults());
}

void Kernel::forTiles(Range range, const Mask &mask, int block, const Carry &carry,
                      const std::function<void(Scalar, const TileMask &)> &body,
                      SourceLocation loc) {
  auto at = [&](Scalar s) { return ScalarOperand(std::move(s), loc); };
  auto masked = [&](Scalar t) { body(t, TileMask(mask, t)); };
  const Range &unmasked = mask.seenByAll();
  // Tile k starts at begin + k * block. Tiles [first, last) are seen whole by all rows.
  const Scalar count = ceilDiv(at(max(at(at(range.end) - at(range.begin)), at(0))), at(block));
  if (unmasked.end.isConstant() && unmasked.end.constant() <= 0) { // no tile is: one loop
    const Scalar end = at(range.begin) + at(at(count) * at(block));
    forRange({range.begin, end}, at(block), carry, masked);
    return;
  }
  const bool isSameBegin =
      unmasked.begin.irValue() && unmasked.begin.irValue() == range.begin.irValue();
  Scalar ahead = isSameBegin ? Scalar(0) : at(unmasked.begin) - at(range.begin);
  if (ahead.isConstant() && ahead.constant() < 0)
    ahead = 0;
  const bool startsUnmasked = ahead.isConstant() && ahead.constant() == 0;
  const Scalar first = startsUnmasked
                           ? Scalar(0)
                           : min(at(ceilDiv(at(max(at(ahead), at(0))), at(block))), at(count));
  const Scalar inside = at(max(at(at(unmasked.end) - at(range.begin)), at(0))) / at(block);
  const Scalar last = min(at(max(at(inside), at(first))), at(count));
  auto start = [&](const Scalar &k) -> Scalar { return at(range.begin) + at(at(k) * at(block)); };
  if (!startsUnmasked)
    forRange({range.begin, start(first)}, at(block), carry, masked);
  forWholeTiles(
      {start(first), start(last)}, block, carry, [&](Scalar t) { body(t, TileMask()); }, loc);
  // All rows have begun by then.
  forRange({start(last), start(count)}, at(block), carry,
           [&](Scalar t) { body(t, TileMask(mask, t).withoutBegin()); });
}

} // namespace nysjit
