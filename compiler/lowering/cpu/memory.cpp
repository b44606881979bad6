// Loads and stores: rows of views, vectors, scalars. What lies outside a view is read as zero and
// not written.
#include "compiler/lowering/cpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::cpu {

Value KernelEmitter::emitScalarLoad(tile::LoadScalarOp load) {
  OpBuilder &b = e.builder;
  const MemoryView &view = views.find(load.getView())->second;
  const Type type = load.getResult().getType();
  Value row = scalars.lookup(load.getRow());
  Value inside = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ult, row, view.length);
  auto choice = scf::IfOp::create(b, e.loc, TypeRange(type), inside, true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(b, e.loc, e.load(type, elementAddress(view, row), bytesOf(view)));
  b.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(b, e.loc, Value(arith::ConstantOp::create(b, e.loc, b.getZeroAttr(type))));
  return choice.getResult(0);
}

/// The number of the row at hand, counted from `first`, as i64.
Value KernelEmitter::indexFrom(Value first) {
  return e.add(arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(), first), row);
}

/// i1: row `index` (i64) lies in the view; and that row's address.
std::pair<Value, Value> KernelEmitter::rowOf(const MemoryView &view, Value index) {
  OpBuilder &b = e.builder;
  Value length = arith::ExtSIOp::create(b, e.loc, b.getI64Type(), view.length);
  // One unsigned comparison covers negative rows as well.
  Value inside = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ult, index, length);
  return {inside, e.offset(view.address, e.mul(index, view.rowBytes))};
}

/// A row of a load or of a gather.
Pieces KernelEmitter::emitRowLoad(Operation *op) {
  auto load = dyn_cast<tile::LoadOp>(op);
  auto gather = dyn_cast<tile::GatherOp>(op);
  const MemoryView &view = views.find(op->getOperand(0))->second;
  Value index = load ? indexFrom(scalars.lookup(load.getRow()))
                     : Value(arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(),
                                                    rowValue(gather.getRows())[0]));
  auto [inside, address] = rowOf(view, index);
  SmallVector<Type> types;
  for (int64_t width : rowPieces(view.columns))
    types.push_back(e.f32Vector(width));
  const Value base = address;
  auto loadPieces = [&] {
    return forPieces(view.columns, [&](int64_t start, int64_t width) {
      if (view.element.isF32())
        return e.load(e.f32Vector(width), e.offset(base, start * 4));
      Value bits =
          e.load(VectorType::get({width}, e.builder.getI16Type()), e.offset(base, start * 2), 2);
      return emitWiden(e, bits, view.element);
    });
  };
  if (load && load.getInBounds())
    return loadPieces();
  auto choice = scf::IfOp::create(e.builder, e.loc, TypeRange(types), inside, true);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(e.builder, e.loc, loadPieces());
  e.builder.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(e.builder, e.loc, forPieces(view.columns, [&](int64_t, int64_t width) {
                         return e.constant(e.f32Vector(width), 0);
                       }));
  return Pieces(choice.getResults());
}

void KernelEmitter::emitRowStore(tile::StoreOp store) {
  const MemoryView &view = views.find(store.getView())->second;
  Pieces pieces = rowValue(store.getValue());
  auto [inside, address] = rowOf(view, indexFrom(scalars.lookup(store.getRow())));
  auto choice = scf::IfOp::create(e.builder, e.loc, inside, false);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(choice.thenBlock());
  if (view.element.isF32()) {
    e.storePieces(pieces, address);
    return;
  }
  int64_t start = 0;
  for (Value piece : pieces) {
    e.store(emitNarrow(e, piece, view.element), e.offset(address, start * 2), 2);
    start += cast<VectorType>(piece.getType()).getDimSize(0);
  }
}

/// Elements of a vector view as they are in memory, 16-bit ones as their bits.
VectorType KernelEmitter::elementsOf(const MemoryView &view, int64_t width) {
  return view.element.isF32() ? e.f32Vector(width)
                              : VectorType::get({width}, e.builder.getI16Type());
}

/// i1 for each of some numbers of rows or elements.
Value KernelEmitter::isInside(const MemoryView &view, Value numbers) {
  const int64_t width = cast<VectorType>(numbers.getType()).getDimSize(0);
  return arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ult, numbers,
                               e.splat(view.length, width));
}

Value KernelEmitter::elementAddress(const MemoryView &view, Value first) {
  Value index = arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(), first);
  return e.offset(view.address,
                  e.mul(index, view.isStrided ? view.rowBytes : e.i64(bytesOf(view))));
}

/// Pointers to elements of a vector view by their numbers.
Value KernelEmitter::elementPointers(const MemoryView &view, Value numbers) {
  OpBuilder &b = e.builder;
  const int64_t width = cast<VectorType>(numbers.getType()).getDimSize(0);
  const auto pointers = VectorType::get({width}, view.address.getType());
  auto at = [&](Type step, Value index) -> Value {
    return LLVM::GEPOp::create(b, e.loc, pointers, step, view.address,
                               ArrayRef<LLVM::GEPArg>{index});
  };
  if (!view.isStrided)
    return at(elementsOf(view, 1).getElementType(), numbers);
  const auto type = VectorType::get({width}, b.getI64Type());
  Value wide = arith::ExtSIOp::create(b, e.loc, type, numbers);
  Value step = e.splat(view.rowBytes, width);
  Value bytes = e.mul(wide, step);
  return at(b.getI8Type(), bytes);
}

/// Elements of a vector view, each by its own number.
Value KernelEmitter::emitElements(const MemoryView &view, Value numbers) {
  const int64_t width = cast<VectorType>(numbers.getType()).getDimSize(0);
  const bool isWide = view.element.isF32();
  const VectorType type = elementsOf(view, width);
  Value inside = isInside(view, numbers);
  Value from = elementPointers(view, numbers);
  Value zeros = isWide ? e.constant(type, 0) : e.integerConstant(type, 0);
  Value loaded = LLVM::masked_gather::create(e.builder, e.loc, type, from, inside, zeros,
                                             static_cast<unsigned>(bytesOf(view)));
  return isWide ? loaded : emitWiden(e, loaded, view.element);
}

void KernelEmitter::emitVectorStore(tile::StoreOp store) {
  OpBuilder &b = e.builder;
  const MemoryView &view = views.find(store.getView())->second;
  const auto alignment = static_cast<unsigned>(bytesOf(view));
  Value first = scalars.lookup(store.getRow());
  Value address = elementAddress(view, first);
  int64_t start = 0;
  for (Value piece : wholeTile(store.getValue())) {
    const int64_t width = cast<VectorType>(piece.getType()).getDimSize(0);
    Value stored = view.element.isF32() ? piece : emitNarrow(e, piece, view.element);
    Value numbers = e.add(lanes(start, width), e.splat(first, width));
    Value inside = isInside(view, numbers);
    if (view.isStrided) {
      Value to = elementPointers(view, numbers);
      LLVM::masked_scatter::create(b, e.loc, stored, to, inside, alignment);
    } else {
      Value to = e.offset(address, start * bytesOf(view));
      LLVM::MaskedStoreOp::create(b, e.loc, stored, to, inside, alignment);
    }
    start += width;
  }
}

Pieces KernelEmitter::emitVectorLoad(tile::LoadOp load) {
  const MemoryView &view = views.find(load.getView())->second;
  Value first = scalars.lookup(load.getRow());
  Value address = elementAddress(view, first);
  return forPieces(
      tileType(load.getResult()).getDimSize(0), [&](int64_t start, int64_t width) -> Value {
        Value numbers = e.add(lanes(start, width), e.splat(first, width));
        if (view.isStrided)
          return emitElements(view, numbers);
        const bool isWide = view.element.isF32();
        const VectorType type = elementsOf(view, width);
        Value zeros = isWide ? e.constant(type, 0) : e.integerConstant(type, 0);
        Value inside = isInside(view, numbers);
        Value from = e.offset(address, start * bytesOf(view));
        Value loaded = LLVM::MaskedLoadOp::create(e.builder, e.loc, type, from, inside, zeros,
                                                  static_cast<unsigned>(bytesOf(view)));
        return isWide ? loaded : emitWiden(e, loaded, view.element);
      });
}

void KernelEmitter::emitVector(Operation *op) {
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return emitVectorStore(store);
  Pieces result;
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    result = emitVectorLoad(load);
  } else if (auto gather = dyn_cast<tile::GatherOp>(op)) {
    for (Value numbers : wholeTile(gather.getRows()))
      result.push_back(emitElements(views.find(gather.getView())->second, numbers));
  } else {
    result = emitAgain(op, [&](Value operand) { return wholeTile(operand); });
  }
  if (schedule.slot(op->getResult(0)))
    e.storePieces(result, slotAddress(op->getResult(0)));
}

Ahead KernelEmitter::tileOf(Value view, Value row, int64_t rows, bool isWritten) {
  const MemoryView &memory = views.find(view)->second;
  Value first =
      arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(), scalars.lookup(row));
  return {e.offset(memory.address, e.mul(first, memory.rowBytes)), memory.rowBytes, rows,
          memory.columns * bytesOf(memory), isWritten};
}

/// The rows after those.
Ahead KernelEmitter::tileAfter(Value view, Value row, int64_t rows, bool isWritten) {
  Ahead tile = tileOf(view, row, rows, isWritten);
  tile.address = e.offset(tile.address, e.mul(tile.rowBytes, e.i64(rows)));
  return tile;
}

/// What a loop over whole tiles will load in its next iteration in the tile's place.
Ahead KernelEmitter::nextTile(Value tile) {
  auto load = Schedule::strip(tile).getDefiningOp<tile::LoadOp>();
  if (!load || !load.getInBounds())
    return {};
  const int64_t rows = load.getResult().getType().getDimSize(0);
  return tileAfter(load.getView(), load.getRow(), rows, false);
}

/// What a loop with loops inside will load and store in its next iteration, in the order of the
/// last first.
SmallVector<Ahead> KernelEmitter::tilesOfNextIteration(scf::ForOp loop) {
  SmallVector<Ahead> list;
  if (llvm::none_of(*loop.getBody(),
                    [](Operation &op) { return isa<scf::ForOp, scf::WhileOp>(op); }))
    return list;
  auto add = [&](Value view, Value row, RankedTensorType type, bool isWritten) {
    if (row != loop.getInductionVar() || type.getRank() != 2 || !views.contains(view))
      return;
    list.push_back(tileAfter(view, row, type.getDimSize(0), isWritten));
  };
  for (Operation &op : llvm::reverse(*loop.getBody()))
    op.walk([&](Operation *inner) {
      if (auto store = dyn_cast<tile::StoreOp>(inner))
        add(store.getView(), store.getRow(), store.getValue().getType(), true);
      else if (auto load = dyn_cast<tile::LoadOp>(inner))
        add(load.getView(), load.getRow(), load.getResult().getType(), false);
    });
  return list;
}

/// What the loops around an innermost one will load and store in their next iterations, as far as
/// its addresses are known here: in rows of their own number, or of a loop's that begins with it.
SmallVector<Ahead> KernelEmitter::tilesAround(scf::ForOp innermost) {
  SmallVector<Ahead> list;
  llvm::DenseSet<Value> seen;
  for (auto loop = innermost->getParentOfType<scf::ForOp>(); loop;
       loop = loop->getParentOfType<scf::ForOp>()) {
    auto add = [&](Value view, Value row, RankedTensorType type, bool isWritten) {
      if (auto argument = dyn_cast<BlockArgument>(row))
        if (auto inner = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
            inner && row == inner.getInductionVar() && inner != loop)
          row = inner.getLowerBound();
      const bool isKnown =
          views.contains(view) && view.getParentBlock()->getParentOp()->isProperAncestor(innermost);
      if (isKnown && row == loop.getInductionVar() && type.getRank() == 2 &&
          seen.insert(view).second)
        list.push_back(tileAfter(view, row, type.getDimSize(0), isWritten));
    };
    loop->walk([&](Operation *op) {
      if (auto store = dyn_cast<tile::StoreOp>(op))
        add(store.getView(), store.getRow(), store.getValue().getType(), true);
      else if (auto load = dyn_cast<tile::LoadOp>(op))
        add(load.getView(), load.getRow(), load.getResult().getType(), false);
    });
  }
  return list;
}

/// What nothing else asks for, while the kernel's first rows are loaded: the first tiles of later
/// loops, and what is stored in the end.
SmallVector<Ahead> KernelEmitter::upcoming(const Step &step) {
  SmallVector<Ahead> list;
  if (hasFetchedAhead ||
      !llvm::any_of(step.operations, [](Operation *op) { return isa<tile::LoadOp>(op); }))
    return list;
  hasFetchedAhead = true;
  llvm::DenseSet<Value> seen;
  auto add = [&](Value view, Value row, RankedTensorType type, bool isWritten) {
    if (type.getRank() == 2 && views.contains(view) && scalars.contains(row) &&
        seen.insert(view).second)
      list.push_back(tileOf(view, row, type.getDimSize(0), isWritten));
  };
  for (Operation &op : source.getBody().front()) {
    auto loop = dyn_cast<scf::ForOp>(op);
    if (loop && !loop->isAncestor(step.operations.front()))
      loop.walk([&](tile::LoadOp load) {
        if (load.getRow() == loop.getInductionVar())
          add(load.getView(), loop.getLowerBound(), load.getResult().getType(), false);
      });
    if (!loop)
      op.walk([&](tile::StoreOp store) {
        add(store.getView(), store.getRow(), store.getValue().getType(), true);
      });
  }
  return list;
}

/// The share of one of `rows` rows.
void KernelEmitter::emitShare(const Ahead &ahead, int64_t rows) {
  const int64_t count = llvm::divideCeil(ahead.rows, rows);
  Value address = e.offset(ahead.address, e.mul(e.mul(row, e.i64(count)), ahead.rowBytes));
  for (int64_t r = 0; r < count; ++r, address = e.offset(address, ahead.rowBytes))
    for (int64_t byte = 0; byte < ahead.columnBytes; byte += cacheLine)
      emitPrefetch(e, e.offset(address, byte), ahead.isWritten);
}

void emitPrefetch(VectorBuilder &e, Value address, bool isWritten) {
  constexpr int64_t keepInFirstCache = 3;
  constexpr int64_t keepInSecondCache = 2;
  constexpr int64_t data = 1;
  LLVM::Prefetch::create(e.builder, e.loc, address, isWritten,
                         isWritten ? keepInFirstCache : keepInSecondCache, data);
}

} // namespace nysjit::cpu
