// Emits one kernel from its schedule, step by step.
//
//   tile.load, elementwise, tile.reduce, tile.store   a loop over rows; a row of a 2-D tile is one vector, an element of a
//                                                     1-D tile that belongs to the row is one scalar
//   1-D operations by themselves                      one whole vector
//   tile.dot, tile.triangular_solve                   dot.cpp
//   scf.for                                           the same loop; its carried tiles are slots
#include "compiler/cpu/lower_tiles.h"

#include "compiler/cpu/schedule.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
namespace nysjit::cpu {

namespace {

RankedTensorType tileType(Value value) { return dyn_cast<RankedTensorType>(value.getType()); }

/// The parts of a tile.view.
struct MemoryView {
  Value address, length, rowBytes; // address of row 0; i32 rows; i64
  Type element;
  int64_t columns;
};

class KernelLowering {
public:
  KernelLowering(func::FuncOp source, const Schedule &schedule, VectorShape shape)
      : source(source), schedule(schedule), e{OpBuilder(source.getContext()), source.getLoc(), Value(), shape} {}

  func::FuncOp run() {
    OpBuilder &b = e.builder;
    b.setInsertionPoint(source);
    const Type pointer = LLVM::LLVMPointerType::get(b.getContext());
    auto kernel = func::FuncOp::create(b, e.loc, source.getName(), b.getFunctionType({pointer, b.getI64Type(), pointer}, {}));
    Block *entry = kernel.addEntryBlock();
    b.setInsertionPointToStart(entry);
    e.scratch = entry->getArgument(2);
    programId = arith::TruncIOp::create(b, e.loc, b.getI32Type(), entry->getArgument(1));
    for (BlockArgument argument : source.getArguments()) {
      const Type type = isa<tile::PointerType>(argument.getType()) ? pointer : argument.getType();
      scalars.map(argument, e.load(type, e.offset(entry->getArgument(0), argument.getArgNumber() * 8), 8));
    }
    emitBlock(&source.getBody().front());
    func::ReturnOp::create(b, source.getLoc());
    return kernel;
  }

private:
  void emitBlock(Block *block) {
    for (const Step &step : schedule.steps(block)) {
      Operation *op = step.operations.front();
      e.loc = op->getLoc();
      wholeTiles.clear();
      switch (step.kind) {
      case StepKind::Rows: emitRows(step); break;
      case StepKind::Vector: emitVector(op); break;
      case StepKind::Dot: emitDotStep(cast<tile::DotOp>(op)); break;
      case StepKind::Solve: emitSolve(cast<tile::TriangularSolveOp>(op)); break;
      case StepKind::Reduce: emitReduce(cast<tile::ReduceOp>(op)); break;
      case StepKind::Loop: emitLoop(cast<scf::ForOp>(op)); break;
      case StepKind::Branch: emitBranch(cast<scf::IfOp>(op)); break;
      case StepKind::Scalar: emitScalar(op); break;
      }
    }
  }

  //===- Scalars ----------------------------------------------------------------------------------------------===//

  void emitScalar(Operation *op) {
    if (isa<tile::ProgramIdOp>(op)) {
      scalars.map(op->getResult(0), programId);
    } else if (auto view = dyn_cast<tile::ViewOp>(op)) {
      const tile::ViewType type = view.getResult().getType();
      const int64_t bytes = type.getElement().getIntOrFloatBitWidth() / 8;
      Value start = e.mul(scalars.lookup(view.getOffset()), e.i64(bytes));
      views[view] = {e.offset(scalars.lookup(view.getBase()), start), scalars.lookup(view.getLength()),
                     e.mul(scalars.lookup(view.getRowStride()), e.i64(bytes)), type.getElement(), type.getColumns()};
    } else if (auto load = dyn_cast<tile::LoadScalarOp>(op)) {
      scalars.map(load.getResult(), emitScalarLoad(load));
    } else if (auto exponential = dyn_cast<math::Exp2Op>(op)) {
      scalars.map(exponential.getResult(), emitExp2(e, scalars.lookup(exponential.getOperand())));
    } else if (auto logarithm = dyn_cast<math::Log2Op>(op)) {
      scalars.map(logarithm.getResult(), emitLog2(e, scalars.lookup(logarithm.getOperand())));
    } else {
      e.builder.clone(*op, scalars);
    }
  }

  Value emitScalarLoad(tile::LoadScalarOp load) {
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

  //===- Values -----------------------------------------------------------------------------------------------===//

  Value slotAddress(Value tile) { return e.offset(e.scratch, *schedule.slot(tile)); }

  /// Each piece of a row, or of a 1-D tile, as some value.
  Pieces forPieces(int64_t length, llvm::function_ref<Value(int64_t start, int64_t width)> make) {
    Pieces pieces;
    int64_t start = 0;
    for (int64_t width : rowPieces(length)) {
      pieces.push_back(make(start, width));
      start += width;
    }
    return pieces;
  }

  Value lanes(int64_t start, int64_t width) { // start, start + 1, ...
    SmallVector<int32_t> numbers(width);
    for (int64_t i = 0; i < width; ++i)
      numbers[i] = static_cast<int32_t>(start + i);
    const VectorType type = VectorType::get({width}, e.builder.getI32Type());
    return arith::ConstantOp::create(e.builder, e.loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
  }

  /// The scalar that a constant or splat repeats; null for anything else.
  Value repeated(Operation *op) {
    if (auto splat = dyn_cast<tensor::SplatOp>(op))
      return scalars.lookup(splat.getInput());
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      if (auto splat = dyn_cast<SplatElementsAttr>(constant.getValue()))
        return arith::ConstantOp::create(e.builder, e.loc, splat.getSplatValue<TypedAttr>());
    return Value();
  }

  /// The same operation on vectors or a scalar instead of tiles.
  Pieces emitAgain(Operation *op, llvm::function_ref<Pieces(Value)> operandOf) {
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

  Value emitPiece(Operation *op, ArrayRef<Value> operands) {
    if (isa<math::Exp2Op>(op))
      return isa<VectorType>(operands[0].getType()) ? emitExp2(e, operands[0]) : emitRowExp2(operands[0]);
    if (isa<math::Log2Op>(op))
      return emitLog2(e, operands[0]);
    const Type element = tileType(op->getResult(0)).getElementType();
    auto vector = dyn_cast<VectorType>(operands.back().getType());
    OperationState state(e.loc, op->getName(), operands, {vector ? Type(VectorType::get(vector.getShape(), element)) : element}, op->getAttrs());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    Operation *created = e.builder.create(state);
    if (auto maximum = dyn_cast<arith::MaxNumFOp>(created))
      maximum.setFastmath(arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
    return created->getResult(0);
  }

  /// Of a row's number: mostly 0 where it is how far a running maximum has moved.
  Value emitRowExp2(Value x) {
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
  Pieces wholeTile(Value value) {
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
  Pieces rowValue(Value value) {
    value = Schedule::strip(value);
    if (auto known = rowValues.find(value); known != rowValues.end())
      return known->second;
    Pieces made = makeRowValue(value);
    return rowValues[value] = made;
  }

  Pieces makeRowValue(Value value) {
    Operation *op = value.getDefiningOp();
    const RankedTensorType type = tileType(value);
    const bool isRow = type.getRank() == 2;
    auto spread = [&](Value scalar) {
      return isRow ? forPieces(type.getDimSize(1), [&](int64_t, int64_t width) { return e.splat(scalar, width); }) : Pieces{scalar};
    };
    if (!op || !Schedule::isLazy(op)) {
      Value address = e.offset(slotAddress(value), e.mul(row, e.i64(isRow ? type.getDimSize(1) * 4 : 4)));
      return isRow ? e.loadPieces(type.getDimSize(1), address) : Pieces{e.load(e.builder.getF32Type(), address)};
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

  //===- Steps ------------------------------------------------------------------------------------------------===//

  void enterRow(Value induction) {
    row = induction;
    rowLoop = induction.getParentBlock()->getParentOp();
    rowValues.clear();
  }

  void emitRows(const Step &step) {
    SmallVector<tile::ReduceOp> columnReductions;
    Emission::Values initial;
    for (Operation *op : step.operations)
      if (auto reduce = dyn_cast<tile::ReduceOp>(op); reduce && reduce.getAxis() == 0) {
        columnReductions.push_back(reduce);
        const bool isMax = reduce.getKind() == tile::ReduceKind::Max;
        for (int64_t width : rowPieces(reduce.getValue().getType().getDimSize(1)))
          initial.push_back(e.constant(e.f32Vector(width), isMax ? -__builtin_inf() : 0.0));
      }
    const Location loc = e.loc;
    Emission::Values reduced = e.loop(step.rows, 1, initial, [&](Value induction, ValueRange carried) {
      enterRow(induction);
      SmallVector<std::pair<Value, Pieces>> results; // stored last: a slot may be shared with what this row still reads
      SmallVector<arith::MulFOp> scalings;
      Emission::Values next;
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
        if (isScalingInPlace(op, step)) {
          scalings.push_back(cast<arith::MulFOp>(op));
          continue;
        }
        Pieces result = emitRow(op);
        rowValues[op->getResult(0)] = result;
        if (schedule.slot(op->getResult(0)))
          results.push_back({op->getResult(0), result});
      }
      e.loc = loc;
      for (const auto &[tile, pieces] : results) {
        const RankedTensorType type = tileType(tile);
        e.storePieces(pieces, e.offset(slotAddress(tile), e.mul(row, e.i64(type.getRank() == 2 ? type.getDimSize(1) * 4 : 4))));
      }
      for (arith::MulFOp scaling : scalings)
        emitScaling(scaling);
      return next;
    });
    size_t start = 0;
    for (tile::ReduceOp reduce : columnReductions) {
      const size_t count = rowPieces(reduce.getValue().getType().getDimSize(1)).size();
      if (schedule.slot(reduce.getResult()))
        e.storePieces(Pieces(reduced.begin() + start, reduced.begin() + start + count), slotAddress(reduce.getResult()));
      start += count;
    }
  }

  /// A tile times a number a row, written over the tile, which nothing else in the step reads.
  bool isScalingInPlace(Operation *op, const Step &step) {
    auto scaling = dyn_cast<arith::MulFOp>(op);
    if (!scaling)
      return false;
    auto factor = scaling.getRhs().getDefiningOp<tile::BroadcastOp>();
    Value tile = scaling.getLhs();
    const std::optional<int64_t> from = schedule.slot(tile), to = schedule.slot(scaling.getResult());
    if (!factor || factor.getAxis() != 0 || !from || !to || *from != *to)
      return false;
    return llvm::none_of(step.operations, [&](Operation *other) {
      return other != op && llvm::any_of(other->getOperands(), [&](Value operand) { return reads(operand, tile) || reads(operand, scaling.getResult()); });
    });
  }

  /// Whether `value` is `tile` or computed again from it.
  static bool reads(Value value, Value tile) {
    Operation *op = value.getDefiningOp();
    return value == tile || (op && Schedule::isLazy(op) && llvm::any_of(op->getOperands(), [&](Value operand) { return reads(operand, tile); }));
  }

  /// Where the number is 1, as mostly for a sum under a running maximum, the row is left as it is.
  void emitScaling(arith::MulFOp scaling) {
    Value factor = rowValue(scaling.getRhs().getDefiningOp<tile::BroadcastOp>().getValue())[0];
    Value isOther = arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::UNE, factor, e.constant(e.builder.getF32Type(), 1));
    auto branch = scf::IfOp::create(e.builder, e.loc, isOther, false);
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPointToStart(branch.thenBlock());
    const int64_t columns = tileType(scaling.getResult()).getDimSize(1);
    Value address = e.offset(slotAddress(scaling.getResult()), e.mul(row, e.i64(columns * 4)));
    Pieces scaled;
    for (Value piece : e.loadPieces(columns, address))
      scaled.push_back(arith::MulFOp::create(e.builder, e.loc, piece, e.splat(factor, cast<VectorType>(piece.getType()).getDimSize(0))));
    e.storePieces(scaled, address);
  }

  Value combine(tile::ReduceKind kind, Value a, Value b) {
    if (kind == tile::ReduceKind::Sum)
      return arith::AddFOp::create(e.builder, e.loc, a, b);
    return arith::MaxNumFOp::create(e.builder, e.loc, a, b, arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  }

  /// All elements of the pieces combined: equal widths lane by lane first, then each width by itself.
  Value reduction(tile::ReduceKind kind, Pieces pieces) {
    const bool isSum = kind == tile::ReduceKind::Sum;
    const auto flags = isSum ? arith::FastMathFlags::reassoc : arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
    Pieces widths;
    for (Value piece : pieces) {
      if (!widths.empty() && widths.back().getType() == piece.getType())
        widths.back() = combine(kind, widths.back(), piece);
      else
        widths.push_back(piece);
    }
    Value result;
    for (Value vector : widths) {
      Value one = vector::ReductionOp::create(e.builder, e.loc, isSum ? vector::CombiningKind::ADD : vector::CombiningKind::MAXNUMF, vector, flags);
      result = result ? combine(kind, result, one) : one;
    }
    return result;
  }

  Pieces emitRow(Operation *op) {
    if (auto load = dyn_cast<tile::LoadOp>(op))
      return emitRowLoad(load);
    if (auto reduce = dyn_cast<tile::ReduceOp>(op))
      return {reduction(reduce.getKind(), rowValue(reduce.getValue()))};
    return emitAgain(op, [&](Value operand) { return rowValue(operand); });
  }

  /// i1: row `first + row` lies in the view; and that row's address.
  std::pair<Value, Value> rowOf(const MemoryView &view, Value first) {
    OpBuilder &b = e.builder;
    Value index = e.add(arith::ExtSIOp::create(b, e.loc, b.getI64Type(), first), row);
    Value length = arith::ExtSIOp::create(b, e.loc, b.getI64Type(), view.length);
    // One unsigned comparison covers negative rows as well.
    Value inside = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ult, index, length);
    return {inside, e.offset(view.address, e.mul(index, view.rowBytes))};
  }

  Pieces emitRowLoad(tile::LoadOp load) {
    const MemoryView &view = views.find(load.getView())->second;
    auto [inside, address] = rowOf(view, scalars.lookup(load.getRow()));
    SmallVector<Type> types;
    for (int64_t width : rowPieces(view.columns))
      types.push_back(e.f32Vector(width));
    const Value base = address;
    auto loadPieces = [&] {
      return forPieces(view.columns, [&](int64_t start, int64_t width) {
        if (view.element.isF32())
          return e.load(e.f32Vector(width), e.offset(base, start * 4));
        Value bits = e.load(VectorType::get({width}, e.builder.getI16Type()), e.offset(base, start * 2), 2);
        return emitWiden(e, bits, view.element);
      });
    };
    if (load.getInBounds())
      return loadPieces();
    auto choice = scf::IfOp::create(e.builder, e.loc, TypeRange(types), inside, true);
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPointToStart(choice.thenBlock());
    scf::YieldOp::create(e.builder, e.loc, loadPieces());
    e.builder.setInsertionPointToStart(choice.elseBlock());
    scf::YieldOp::create(e.builder, e.loc, forPieces(view.columns, [&](int64_t, int64_t width) { return e.constant(e.f32Vector(width), 0); }));
    return Pieces(choice.getResults());
  }

  void emitRowStore(tile::StoreOp store) {
    const MemoryView &view = views.find(store.getView())->second;
    Pieces pieces = rowValue(store.getValue());
    auto [inside, address] = rowOf(view, scalars.lookup(store.getRow()));
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

  /// Which of a vector view's elements [first + start, + width) exist.
  Value lanesInside(const MemoryView &view, Value first, int64_t start, int64_t width) {
    Value index = e.add(lanes(start, width), e.splat(first, width));
    return arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ult, index, e.splat(view.length, width));
  }

  static int64_t bytesOf(const MemoryView &view) { return view.element.getIntOrFloatBitWidth() / 8; }

  Value elementAddress(const MemoryView &view, Value first) {
    Value index = arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(), first);
    return e.offset(view.address, e.mul(index, e.i64(bytesOf(view))));
  }

  void emitVector(Operation *op) {
    OpBuilder &b = e.builder;
    if (auto store = dyn_cast<tile::StoreOp>(op)) {
      const MemoryView &view = views.find(store.getView())->second;
      Value first = scalars.lookup(store.getRow()), address = elementAddress(view, first);
      int64_t start = 0;
      for (Value piece : wholeTile(store.getValue())) {
        const int64_t width = cast<VectorType>(piece.getType()).getDimSize(0);
        LLVM::MaskedStoreOp::create(b, e.loc, piece, e.offset(address, start * 4), lanesInside(view, first, start, width), 4);
        start += width;
      }
      return;
    }
    Pieces result;
    if (auto load = dyn_cast<tile::LoadOp>(op)) {
      const MemoryView &view = views.find(load.getView())->second;
      Value first = scalars.lookup(load.getRow()), address = elementAddress(view, first);
      result = forPieces(tileType(op->getResult(0)).getDimSize(0), [&](int64_t start, int64_t width) -> Value {
        const bool isWide = view.element.isF32();
        const VectorType type = isWide ? e.f32Vector(width) : VectorType::get({width}, b.getI16Type());
        Value zeros = isWide ? e.constant(type, 0) : e.integerConstant(type, 0);
        Value inside = lanesInside(view, first, start, width), from = e.offset(address, start * bytesOf(view));
        Value loaded = LLVM::MaskedLoadOp::create(b, e.loc, type, from, inside, zeros, static_cast<unsigned>(bytesOf(view)));
        return isWide ? loaded : emitWiden(e, loaded, view.element);
      });
    } else {
      result = emitAgain(op, [&](Value operand) { return wholeTile(operand); });
    }
    if (schedule.slot(op->getResult(0)))
      e.storePieces(result, slotAddress(op->getResult(0)));
  }

  void emitReduce(tile::ReduceOp reduce) {
    scalars.map(reduce.getResult(), reduction(reduce.getKind(), wholeTile(reduce.getValue())));
  }

  void emitDotStep(tile::DotOp dot) {
    if (!schedule.slot(dot.getResult()))
      return; // nothing reads it
    const RankedTensorType result = dot.getResult().getType();
    const int64_t m = result.getDimSize(0), n = result.getDimSize(1), k = dot.getA().getType().getDimSize(1);
    Value b = slotAddress(dot.getB());
    if (dot.getTransposeB()) {
      Value transposed = e.offset(e.scratch, schedule.transposeSlot(dot));
      emitTranspose(e, b, transposed, n, k);
      b = transposed;
    }
    Value from;
    if (dot.getAccumulator() && !isZero(dot.getAccumulator()))
      from = slotAddress(dot.getAccumulator());
    emitDot(e, slotAddress(dot.getA()), b, from, slotAddress(dot.getResult()), m, n, k, nextTile(dot.getB()));
  }

  /// What a loop over whole tiles will load in its next turn in the tile's place.
  Ahead nextTile(Value tile) {
    auto load = Schedule::strip(tile).getDefiningOp<tile::LoadOp>();
    if (!load || !load.getInBounds())
      return {};
    const MemoryView &view = views.find(load.getView())->second;
    const int64_t rows = load.getResult().getType().getDimSize(0);
    Value next = e.add(arith::ExtSIOp::create(e.builder, e.loc, e.builder.getI64Type(), scalars.lookup(load.getRow())), e.i64(rows));
    return {e.offset(view.address, e.mul(next, view.rowBytes)), view.rowBytes, rows, view.columns * bytesOf(view)};
  }

  static bool isZero(Value tile) {
    Operation *op = tile.getDefiningOp();
    auto constant = dyn_cast_or_null<arith::ConstantOp>(op);
    if (auto splat = dyn_cast_or_null<tensor::SplatOp>(op))
      constant = splat.getInput().getDefiningOp<arith::ConstantOp>();
    if (!constant)
      return false;
    if (auto number = dyn_cast<FloatAttr>(constant.getValue()))
      return number.getValue().isZero();
    auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
    return splat && splat.getSplatValue<APFloat>().isZero();
  }

  void emitSolve(tile::TriangularSolveOp solve) {
    if (!schedule.slot(solve.getResult()))
      return;
    const RankedTensorType type = solve.getResult().getType();
    copyTile(solve.getRhs(), solve.getResult());
    emitTriangularSolve(e, slotAddress(solve.getLower()), slotAddress(solve.getResult()), type.getDimSize(0), type.getDimSize(1));
  }

  //===- Control flow -----------------------------------------------------------------------------------------===//

  /// to = from; nothing if they share a slot.
  void copyTile(Value from, Value to) {
    const RankedTensorType type = tileType(to);
    Operation *op = Schedule::strip(from).getDefiningOp();
    const bool isLazy = op && Schedule::isLazy(op);
    if (!isLazy && *schedule.slot(from) == *schedule.slot(to))
      return;
    if (type.getRank() == 1) {
      e.storePieces(wholeTile(from), slotAddress(to));
      return;
    }
    e.loop(type.getDimSize(0), 1, {}, [&](Value induction, ValueRange) {
      enterRow(induction);
      e.storePieces(rowValue(from), e.offset(slotAddress(to), e.mul(row, e.i64(type.getDimSize(1) * 4))));
      return Emission::Values();
    });
  }

  void emitLoop(scf::ForOp source) {
    OpBuilder &b = e.builder;
    Emission::Values initial;
    for (auto [value, argument] : llvm::zip(source.getInitArgs(), source.getRegionIterArgs())) {
      if (tileType(argument))
        copyTile(value, argument);
      else
        initial.push_back(scalars.lookup(value));
    }
    auto loop = scf::ForOp::create(b, e.loc, scalars.lookup(source.getLowerBound()), scalars.lookup(source.getUpperBound()),
                                   scalars.lookup(source.getStep()), initial);
    {
      OpBuilder::InsertionGuard guard(b);
      if (initial.empty())
        b.setInsertionPoint(loop.getBody()->getTerminator());
      else
        b.setInsertionPointToStart(loop.getBody());
      scalars.map(source.getInductionVar(), loop.getInductionVar());
      size_t index = 0;
      for (BlockArgument argument : source.getRegionIterArgs())
        if (!tileType(argument))
          scalars.map(argument, loop.getRegionIterArg(index++));
      emitBlock(source.getBody());
      wholeTiles.clear();
      Emission::Values next;
      for (auto [value, argument] : llvm::zip(source.getBody()->getTerminator()->getOperands(), source.getRegionIterArgs())) {
        if (tileType(argument))
          copyTile(value, argument);
        else
          next.push_back(scalars.lookup(value));
      }
      if (!initial.empty())
        scf::YieldOp::create(b, e.loc, next);
    }
    size_t index = 0;
    for (Value result : source.getResults())
      if (!tileType(result))
        scalars.map(result, loop.getResult(index++));
  }

  void emitBranch(scf::IfOp source) {
    auto branch = scf::IfOp::create(e.builder, e.loc, scalars.lookup(source.getCondition()), !source.getElseRegion().empty());
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPoint(branch.thenBlock()->getTerminator());
    emitBlock(source.thenBlock());
    if (source.getElseRegion().empty())
      return;
    e.builder.setInsertionPoint(branch.elseBlock()->getTerminator());
    emitBlock(source.elseBlock());
  }

  func::FuncOp source;
  const Schedule &schedule;
  Emission e;
  Value programId;
  IRMapping scalars;
  llvm::DenseMap<Value, MemoryView> views;
  llvm::DenseMap<Value, Pieces> wholeTiles; // lazy 1-D tiles of the step being emitted
  // The row being emitted.
  Value row;
  Operation *rowLoop = nullptr;
  llvm::DenseMap<Value, Pieces> rowValues;
};

} // namespace

LogicalResult lowerTiles(ModuleOp module, VectorShape shape, std::map<std::string, int64_t> &scratchBytes) {
  SmallVector<func::FuncOp> kernels;
  module.walk([&](func::FuncOp function) {
    if (function->hasAttr("tile.kernel"))
      kernels.push_back(function);
  });
  for (func::FuncOp kernel : kernels) {
    FailureOr<Schedule> schedule = Schedule::create(kernel);
    if (failed(schedule))
      return failure();
    scratchBytes[kernel.getName().str()] = schedule->scratchBytes();
    KernelLowering(kernel, *schedule, shape).run();
    kernel.erase();
  }
  return success();
}

} // namespace nysjit::cpu
