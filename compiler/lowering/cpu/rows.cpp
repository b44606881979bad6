// Values row by row, and the loops over rows that share them.
#include "compiler/lowering/cpu/kernel_emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace nysjit::cpu {

//===- Values ---------------------------------------------------------------------------------===//

/// Each piece of a row, or of a 1-D tile, as some value.
Pieces KernelEmitter::forPieces(int64_t length,
                                llvm::function_ref<Value(int64_t start, int64_t width)> make) {
  Pieces pieces;
  int64_t start = 0;
  for (int64_t width : rowPieces(length)) {
    pieces.push_back(make(start, width));
    start += width;
  }
  return pieces;
}

Value KernelEmitter::lanes(int64_t start, int64_t width) { // start, start + 1, ...
  SmallVector<int32_t> numbers(width);
  for (int64_t i = 0; i < width; ++i)
    numbers[i] = static_cast<int32_t>(start + i);
  const VectorType type = VectorType::get({width}, e.builder.getI32Type());
  return arith::ConstantOp::create(e.builder, e.loc,
                                   DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
}

/// The scalar that a constant or splat repeats; null for anything else.
Value KernelEmitter::repeated(Operation *op) {
  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return scalars.lookup(splat.getInput());
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    if (auto splat = dyn_cast<SplatElementsAttr>(constant.getValue()))
      return arith::ConstantOp::create(e.builder, e.loc, splat.getSplatValue<TypedAttr>());
  return Value();
}

/// The same operation on vectors or a scalar instead of tiles.
Pieces KernelEmitter::emitAgain(Operation *op, llvm::function_ref<Pieces(Value)> operandOf) {
  SmallVector<Pieces> operands;
  size_t count = 1;
  for (Value operand : op->getOperands()) {
    operands.push_back(tileType(operand) ? operandOf(operand) : Pieces{scalars.lookup(operand)});
    count = std::max(count, operands.back().size());
  }
  Pieces results;
  for (size_t i = 0; i < count; ++i) {
    SmallVector<Value> values;
    for (const Pieces &pieces : operands)
      values.push_back(pieces[std::min(i, pieces.size() - 1)]);
    results.push_back(emitPiece(op, values));
  }
  return results;
}

Value KernelEmitter::emitPiece(Operation *op, ArrayRef<Value> operands) {
  if (isa<math::Exp2Op>(op))
    return isa<VectorType>(operands[0].getType()) ? emitExp2(e, operands[0])
                                                  : emitRowExp2(operands[0]);
  if (isa<math::Log2Op>(op))
    return emitLog2(e, operands[0]);
  const Type element = tileType(op->getResult(0)).getElementType();
  auto vector = dyn_cast<VectorType>(operands.back().getType());
  OperationState state(e.loc, op->getName(), operands,
                       {vector ? Type(VectorType::get(vector.getShape(), element)) : element},
                       op->getAttrs());
  state.propertiesAttr = op->getPropertiesAsAttribute();
  Operation *created = e.builder.create(state);
  if (auto maximum = dyn_cast<arith::MaxNumFOp>(created))
    maximum.setFastmath(arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  return created->getResult(0);
}

/// Of a row's number: mostly 0 where it is how far a running maximum has moved.
Value KernelEmitter::emitRowExp2(Value x) {
  OpBuilder &b = e.builder;
  const Type f32 = b.getF32Type();
  Value isZero = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, x, e.constant(f32, 0));
  auto choice = scf::IfOp::create(b, e.loc, TypeRange(f32), isZero, true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(b, e.loc, e.constant(f32, 1));
  b.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(b, e.loc, emitExp2(e, x));
  return choice.getResult(0);
}

/// A whole 1-D tile.
Pieces KernelEmitter::wholeTile(Value value) {
  value = Schedule::strip(value);
  Operation *op = value.getDefiningOp();
  const int64_t length = tileType(value).getDimSize(0);
  if (!op || !Schedule::isLazy(op))
    return e.loadPieces(length, slotAddress(value));
  if (auto known = wholeTiles.find(value); known != wholeTiles.end())
    return known->second;
  Pieces result;
  if (isa<tile::IotaOp>(op))
    result = forPieces(length, [&](int64_t start, int64_t width) { return lanes(start, width); });
  else if (Value scalar = repeated(op))
    result = forPieces(length, [&](int64_t, int64_t width) { return e.splat(scalar, width); });
  else
    result = emitAgain(op, [&](Value operand) { return wholeTile(operand); });
  return wholeTiles[value] = result;
}

/// Row `row` of a tile: vectors if it is 2-D, a scalar if it is 1-D and varies over rows.
Pieces KernelEmitter::rowValue(Value value) {
  value = Schedule::strip(value);
  if (auto known = rowValues.find(value); known != rowValues.end())
    return known->second;
  Pieces made = makeRowValue(value);
  return rowValues[value] = made;
}

Pieces KernelEmitter::makeRowValue(Value value) {
  Operation *op = value.getDefiningOp();
  const RankedTensorType type = tileType(value);
  const bool isRow = type.getRank() == 2;
  auto spread = [&](Value scalar) {
    return isRow ? forPieces(type.getDimSize(1),
                             [&](int64_t, int64_t width) { return e.splat(scalar, width); })
                 : Pieces{scalar};
  };
  if (!op || !Schedule::isLazy(op)) {
    Value address =
        e.offset(slotAddress(value), e.mul(row, e.i64(isRow ? type.getDimSize(1) * 4 : 4)));
    return isRow ? e.loadPieces(type.getDimSize(1), address)
                 : Pieces{e.load(e.builder.getF32Type(), address)};
  }
  if (isa<tile::IotaOp>(op))
    return {arith::TruncIOp::create(e.builder, e.loc, e.builder.getI32Type(), row)};
  if (Value scalar = repeated(op))
    return spread(scalar);
  if (auto broadcast = dyn_cast<tile::BroadcastOp>(op)) {
    if (broadcast.getAxis() == 0)
      return spread(rowValue(broadcast.getValue())[0]);
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPoint(rowLoop); // the same for all rows
    return wholeTile(broadcast.getValue());
  }
  return emitAgain(op, [&](Value operand) { return rowValue(operand); });
}

//===- Loops ----------------------------------------------------------------------------------===//

void KernelEmitter::enterRow(Value induction) {
  row = induction;
  rowLoop = induction.getParentBlock()->getParentOp();
  rowValues.clear();
}

/// What a loop over rows carries: the column reductions, then the sums of rows up to each.
VectorBuilder::Values KernelEmitter::startOfRows(const Step &step) {
  VectorBuilder::Values initial;
  for (Operation *op : step.operations)
    if (auto reduce = dyn_cast<tile::ReduceOp>(op); reduce && reduce.getAxis() == 0)
      for (int64_t width : rowPieces(reduce.getValue().getType().getDimSize(1)))
        initial.push_back(e.constant(e.f32Vector(width), identityOf(reduce.getKind())));
  for (Operation *op : step.operations)
    if (isa<tile::CumulativeSumOp>(op))
      for (int64_t width : rowPieces(tileType(op->getResult(0)).getDimSize(1)))
        initial.push_back(e.constant(e.f32Vector(width), 0.0));
  return initial;
}

void KernelEmitter::emitRows(const Step &step) {
  const Location loc = e.loc;
  const SmallVector<Ahead> aheads = upcoming(step);
  VectorBuilder::Values reduced =
      e.loop(step.rows, 1, startOfRows(step), [&](Value induction, ValueRange carried) {
        enterRow(induction);
        for (const Ahead &ahead : aheads)
          emitShare(ahead, step.rows);
        return emitRowOperations(step, carried);
      });
  e.loc = loc;
  size_t start = 0;
  for (Operation *op : step.operations) {
    auto reduce = dyn_cast<tile::ReduceOp>(op);
    if (!reduce || reduce.getAxis() != 0)
      continue;
    const size_t count = rowPieces(reduce.getValue().getType().getDimSize(1)).size();
    if (schedule.slot(reduce.getResult()))
      e.storePieces(Pieces(reduced.begin() + start, reduced.begin() + start + count),
                    slotAddress(reduce.getResult()));
    start += count;
  }
}

/// One row of a step's operations; returns what the loop carries on.
VectorBuilder::Values KernelEmitter::emitRowOperations(const Step &step, ValueRange carried) {
  const Location loc = e.loc;
  // stored last: a slot may be shared with what this row still reads
  SmallVector<std::pair<Value, Pieces>> results;
  SmallVector<tile::ScaleRowsOp> scalings;
  VectorBuilder::Values next;
  VectorBuilder::Values running;
  size_t reducedCount = carried.size();
  for (Operation *op : step.operations)
    if (isa<tile::CumulativeSumOp>(op))
      reducedCount -= rowPieces(tileType(op->getResult(0)).getDimSize(1)).size();
  for (Operation *op : step.operations) {
    e.loc = op->getLoc();
    if (auto store = dyn_cast<tile::StoreOp>(op)) {
      emitRowStore(store);
      continue;
    }
    if (auto reduce = dyn_cast<tile::ReduceOp>(op); reduce && reduce.getAxis() == 0) {
      for (Value piece : rowValue(reduce.getValue()))
        next.push_back(combine(reduce.getKind(), carried[next.size()], piece));
      continue;
    }
    if (auto scaling = dyn_cast<tile::ScaleRowsOp>(op);
        scaling && isScalingInPlace(scaling, step)) {
      scalings.push_back(scaling);
      (void)rowValue(scaling.getFactors()); // before a result may take its slot
      continue;
    }
    Pieces result;
    if (isa<tile::CumulativeSumOp>(op)) {
      for (Value piece : rowValue(op->getOperand(0)))
        result.push_back(running.emplace_back(
            combine(tile::ReduceKind::Sum, carried[reducedCount + running.size()], piece)));
    } else {
      result = emitRow(op);
    }
    rowValues[op->getResult(0)] = result;
    if (schedule.slot(op->getResult(0)))
      results.push_back({op->getResult(0), result});
  }
  e.loc = loc;
  for (const auto &[tile, pieces] : results) {
    const RankedTensorType type = tileType(tile);
    const int64_t rowBytes = type.getRank() == 2 ? type.getDimSize(1) * 4 : 4;
    e.storePieces(pieces, e.offset(slotAddress(tile), e.mul(row, e.i64(rowBytes))));
  }
  for (tile::ScaleRowsOp scaling : scalings)
    emitScaling(scaling);
  next.append(running);
  return next;
}

/// Whether a view's rows lie one after the other, as in a slot.
Value KernelEmitter::isContiguous(tile::LoadOp load) {
  const MemoryView &view = views.find(load.getView())->second;
  return arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::eq, view.rowBytes,
                               e.i64(view.columns * bytesOf(view)));
}

/// A load that is read from memory where it is contiguous. Rows far apart would evict one another
/// while they are read again and again.
void KernelEmitter::emitUnlessContiguous(const Step &step) {
  auto branch =
      scf::IfOp::create(e.builder, e.loc, isContiguous(cast<tile::LoadOp>(step.operations.front())),
                        /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(branch.elseBlock());
  const bool hadFetchedAhead = std::exchange(hasFetchedAhead, true); // that is for both branches
  emitRows(step);
  hasFetchedAhead = hadFetchedAhead;
}

Pieces KernelEmitter::emitRow(Operation *op) {
  if (isa<tile::LoadOp, tile::GatherOp>(op))
    return emitRowLoad(op);
  if (auto scaling = dyn_cast<tile::ScaleRowsOp>(op))
    return scaledRow(rowValue(scaling.getValue()), rowValue(scaling.getFactors())[0]);
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return {reduction(reduce.getKind(), rowValue(reduce.getValue()))};
  return emitAgain(op, [&](Value operand) { return rowValue(operand); });
}

Pieces KernelEmitter::scaledRow(const Pieces &pieces, Value factor) {
  Pieces scaled;
  for (Value piece : pieces) {
    Value factors = e.splat(factor, cast<VectorType>(piece.getType()).getDimSize(0));
    scaled.push_back(arith::MulFOp::create(e.builder, e.loc, piece, factors));
  }
  return scaled;
}

/// Written over the tile that is scaled, which nothing else in the step reads.
bool KernelEmitter::isScalingInPlace(tile::ScaleRowsOp scaling, const Step &step) {
  Value tile = scaling.getValue();
  const std::optional<int64_t> from = schedule.slot(tile);
  const std::optional<int64_t> to = schedule.slot(scaling.getResult());
  if (!from || !to || *from != *to)
    return false;
  return llvm::none_of(step.operations, [&](Operation *other) {
    return other != scaling && llvm::any_of(other->getOperands(), [&](Value operand) {
             return Schedule::reads(operand, tile) || Schedule::reads(operand, scaling.getResult());
           });
  });
}

/// Where the factor is 1, the row is left as it is.
void KernelEmitter::emitScaling(tile::ScaleRowsOp scaling) {
  Value factor = rowValue(scaling.getFactors())[0];
  Value isOther = arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::UNE, factor,
                                        e.constant(e.builder.getF32Type(), 1));
  auto branch = scf::IfOp::create(e.builder, e.loc, isOther, false);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(branch.thenBlock());
  const int64_t columns = tileType(scaling.getResult()).getDimSize(1);
  Value address = e.offset(slotAddress(scaling.getResult()), e.mul(row, e.i64(columns * 4)));
  e.storePieces(scaledRow(e.loadPieces(columns, address), factor), address);
}

/// What changes nothing that it is combined with.
double KernelEmitter::identityOf(tile::ReduceKind kind) {
  switch (kind) {
  case tile::ReduceKind::Max: return -__builtin_inf();
  case tile::ReduceKind::Min: return __builtin_inf();
  case tile::ReduceKind::Sum: break;
  }
  return 0;
}

Value KernelEmitter::combine(tile::ReduceKind kind, Value a, Value b) {
  constexpr auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  switch (kind) {
  case tile::ReduceKind::Sum: return arith::AddFOp::create(e.builder, e.loc, a, b);
  case tile::ReduceKind::Max: return arith::MaxNumFOp::create(e.builder, e.loc, a, b, flags);
  case tile::ReduceKind::Min: return arith::MinNumFOp::create(e.builder, e.loc, a, b, flags);
  }
  return Value();
}

/// All elements of the pieces combined: equal widths lane by lane first, then each width by itself.
Value KernelEmitter::reduction(tile::ReduceKind kind, Pieces pieces) {
  const bool isSum = kind == tile::ReduceKind::Sum;
  const auto flags = isSum ? arith::FastMathFlags::reassoc
                           : arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  const auto lanes = isSum                           ? vector::CombiningKind::ADD
                     : kind == tile::ReduceKind::Max ? vector::CombiningKind::MAXNUMF
                                                     : vector::CombiningKind::MINNUMF;
  Pieces widths;
  for (Value piece : pieces) {
    if (!widths.empty() && widths.back().getType() == piece.getType())
      widths.back() = combine(kind, widths.back(), piece);
    else
      widths.push_back(piece);
  }
  Value result;
  for (Value vector : widths) {
    Value one = vector::ReductionOp::create(e.builder, e.loc, lanes, vector, flags);
    result = result ? combine(kind, result, one) : one;
  }
  return result;
}

} // namespace nysjit::cpu
