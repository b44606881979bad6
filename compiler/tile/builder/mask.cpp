// Masks as tile.mask.
#include "compiler/tile/builder/mask.h"
#include "compiler/tile/builder/emitter.h"

using namespace mlir;
namespace nysjit {

Mask Mask::from(RowLimit limit) const {
  Mask mask = *this;
  mask.begin = std::move(limit);
  return mask;
}

Mask Mask::allSee(Range positions) const {
  Mask mask = *this;
  mask.all = std::move(positions);
  return mask;
}

TileMask TileMask::withoutBegin() const {
  TileMask rest = *this;
  rest.mask.begin.reset();
  return rest;
}

Tile TileMask::over(Kernel &kernel, int rows, int columns) const {
  Kernel::Emitter &emitter = kernel.emitter();
  auto valueOf = [&](const std::optional<RowLimit> &limit) -> Value {
    if (!limit)
      return Value();
    if (!limit->isTile())
      return emitter.integer(limit->all, false, limit->where);
    const int others = mask.countsRows ? columns : rows;
    if (limit->each.rank() != 1 || limit->each.rows() != others)
      failTemplate(limit->where, "expected a mask's limit for each of " + std::to_string(others) +
                                     (mask.countsRows ? " columns" : " rows") + ", found " +
                                     std::to_string(limit->each.rows()));
    return emitter.visible(limit->each.irValue(), limit->where);
  };
  OpBuilder &builder = emitter.builder;
  const SourceLocation where = mask.end->where;
  Value start = emitter.integer(first, false, where);
  const auto type = RankedTensorType::get({rows, columns}, builder.getI1Type());
  return emitter.tile(tile::MaskOp::create(builder, emitter.at(where), type, start,
                                           valueOf(mask.end), valueOf(mask.begin), mask.isInclusive,
                                           /*axis=*/mask.countsRows ? 0 : 1));
}

Tile where(const TileMask &seen, TileOperand value, NumberOperand otherwise) {
  if (seen.hidesNothing())
    return value.tile;
  if (value.tile.rank() != 2)
    failTemplate(value.where, "expected a 2-D tile to mask");
  const Tile mask = seen.over(*value.tile.owner(), value.tile.rows(), value.tile.columns());
  return where(TileOperand(mask, value.where), value, otherwise);
}

} // namespace nysjit
