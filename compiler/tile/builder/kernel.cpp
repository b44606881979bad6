// Kernel: memory, loops and constants of one tile program.
#include "compiler/tile/builder/emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>

using namespace mlir;
namespace nysjit {

Kernel::Kernel(std::unique_ptr<Emitter> emitter) : emit(std::move(emitter)) { emit->kernel = this; }
Kernel::~Kernel() = default;

//===- Emitter --------------------------------------------------------------------------------===//

Location Kernel::Emitter::at(SourceLocation where) {
  return FileLineColLoc::get(builder.getContext(), where.file_name(), where.line(), where.column());
}

Type Kernel::Emitter::irType(Element element) {
  switch (element) {
  case Element::F32: return builder.getF32Type();
  case Element::F16: return builder.getF16Type();
  case Element::BF16: return builder.getBF16Type();
  case Element::I32: return builder.getI32Type();
  case Element::I1: return builder.getI1Type();
  }
  return {};
}

Value Kernel::Emitter::parameter(PlanParameter parameter, Type type) {
  Block &entry = function.getBody().front();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const PlanParameter &known = parameters[i];
    if (known.type == parameter.type && known.memory == parameter.memory &&
        known.value == parameter.value)
      if (entry.getArgument(i).getType() == type)
        return entry.getArgument(i);
  }
  // One argument may be read in two widths, as n when segment_len is 1: a length and a stride.
  auto isTaken = [&](const PlanParameter &known) { return known.name == parameter.name; };
  if (std::any_of(parameters.begin(), parameters.end(), isTaken))
    parameter.name += parameter.type == ParameterType::I64 ? "_i64" : "_i32";
  parameters.push_back(std::move(parameter));
  return entry.addArgument(type, function.getLoc());
}

Value Kernel::Emitter::pointer(const std::string &memory, Element element, SourceLocation) {
  PlanParameter plan;
  plan.name = memory + (element == Element::F32 ? "" : element == Element::F16 ? "_f16" : "_bf16");
  plan.type = ParameterType::Pointer;
  plan.memory = memory;
  return parameter(plan, tile::PointerType::get(builder.getContext(), irType(element)));
}

/// "n", or "x3" for an expression: names are for people, the order is what counts.
static std::string parameterName(const Expression &value, size_t index) {
  return value.op() == Operator::Symbol ? value.symbolName() : "x" + std::to_string(index);
}

Value Kernel::Emitter::integer(const Scalar &scalar, bool wide, SourceLocation where) {
  const Type type = wide ? builder.getI64Type() : builder.getI32Type();
  if (scalar.isConstant())
    return arith::ConstantOp::create(builder, at(where),
                                     builder.getIntegerAttr(type, scalar.constant()));
  if (scalar.isHost()) {
    PlanParameter plan;
    plan.name = parameterName(scalar.expression(), parameters.size());
    plan.type = wide ? ParameterType::I64 : ParameterType::I32;
    plan.value = scalar.expression();
    return parameter(plan, type);
  }
  Value value = visible(scalar.irValue(), where);
  if (wide && !scalar.isWide())
    return arith::ExtSIOp::create(builder, at(where), type, value);
  if (!wide && scalar.isWide())
    failTemplate(where, "expected a 32-bit scalar, found a 64-bit one");
  return value;
}

Value Kernel::Emitter::visible(void *opaque, SourceLocation where) {
  if (!opaque)
    failTemplate(where, "expected a tile, found one that was never assigned");
  Value value = valueOf(opaque);
  if (!value.getParentRegion()->isAncestor(builder.getInsertionBlock()->getParent())) {
    std::string made = "a loop body";
    if (auto loc = dyn_cast<FileLineColLoc>(value.getLoc()))
      made = "the loop body at " + loc.getFilename().str() + ":" + std::to_string(loc.getLine());
    failTemplate(where, "expected a value of this scope, found one made in " + made +
                            "; carry it through the loop");
  }
  return value;
}

Tile Kernel::Emitter::tile(Value value, Axis axis) {
  const Type type = value.getType();
  const auto shaped = dyn_cast<RankedTensorType>(type);
  const Type element = shaped ? shaped.getElementType() : type;
  const Element kind = element.isF32()        ? Element::F32
                       : element.isF16()      ? Element::F16
                       : element.isBF16()     ? Element::BF16
                       : element.isInteger(1) ? Element::I1
                                              : Element::I32;
  const int rank = shaped ? shaped.getRank() : 0;
  return Tile(kernel, value.getAsOpaquePointer(), kind, rank, rank ? shaped.getDimSize(0) : 0,
              rank == 2 ? shaped.getDimSize(1) : 0, axis);
}

//===- Values ---------------------------------------------------------------------------------===//

Scalar Kernel::cell(SourceLocation loc) {
  return emit->scalar(
      tile::CellIdOp::create(emit->builder, emit->at(loc), emit->builder.getI32Type()), false);
}

Tile Kernel::scale(SourceLocation) {
  PlanParameter plan;
  plan.name = "scale";
  plan.type = ParameterType::F32;
  return emit->tile(emit->parameter(plan, emit->builder.getF32Type()));
}

Tile Kernel::iota(int count, SourceLocation loc) {
  return emit->tile(tile::IotaOp::create(
      emit->builder, emit->at(loc), RankedTensorType::get({count}, emit->builder.getI32Type())));
}

Tile Kernel::number(double number, SourceLocation loc) {
  return emit->tile(arith::ConstantOp::create(
      emit->builder, emit->at(loc), emit->builder.getF32FloatAttr(static_cast<float>(number))));
}

Tile Kernel::fill(int rows, int columns, double value, SourceLocation loc) {
  const auto type = RankedTensorType::get({rows, columns}, emit->builder.getF32Type());
  return emit->tile(tensor::SplatOp::create(emit->builder, emit->at(loc),
                                            valueOf(number(value, loc).irValue()), type));
}

Tile Kernel::fill(int count, double value, SourceLocation loc) {
  const auto type = RankedTensorType::get({count}, emit->builder.getF32Type());
  return emit->tile(tensor::SplatOp::create(emit->builder, emit->at(loc),
                                            valueOf(number(value, loc).irValue()), type));
}

Tile Kernel::fill(int count, ScalarOperand integer) {
  const auto type = RankedTensorType::get({count}, emit->builder.getI32Type());
  Value value = emit->integer(integer.scalar, false, integer.where);
  return emit->tile(tensor::SplatOp::create(emit->builder, emit->at(integer.where), value, type));
}

Tile Kernel::number(const Scalar &integer, SourceLocation loc) {
  Value value = emit->integer(integer, false, loc);
  return emit->tile(
      arith::SIToFPOp::create(emit->builder, emit->at(loc), emit->builder.getF32Type(), value));
}

Scalar Kernel::toInteger(const Tile &number, SourceLocation loc) {
  return emit->scalar(arith::FPToSIOp::create(emit->builder, emit->at(loc),
                                              emit->builder.getI32Type(),
                                              emit->visible(number.irValue(), loc)),
                      false);
}

//===- Memory ---------------------------------------------------------------------------------===//

bool View::isStrided() const {
  return columns == 0 && !(rowStride.isConstant() && rowStride.constant() == 1);
}

static Value makeView(Kernel::Emitter &emitter, const View &view, Element element,
                      SourceLocation where) {
  Value base = emitter.pointer(view.tensor.name, element, where);
  const auto type =
      tile::ViewType::get(emitter.builder.getContext(), view.columns, emitter.irType(element));
  return tile::ViewOp::create(emitter.builder, emitter.at(where), type, base,
                              emitter.integer(view.offset, true, where),
                              emitter.integer(view.length, false, where),
                              emitter.integer(view.rowStride, true, where), view.isStrided());
}

static void emitViews(Kernel::Emitter &emitter, View &view, SourceLocation where) {
  view.irValue = makeView(emitter, view, view.tensor.element, where).getAsOpaquePointer();
  if (view.tensor.isOutput && view.tensor.outputElement != view.tensor.element)
    view.alternative =
        makeView(emitter, view, view.tensor.outputElement, where).getAsOpaquePointer();
}

View Kernel::view(const TensorRef &tensor, std::initializer_list<Scalar> indices,
                  SourceLocation loc) {
  const size_t left = tensor.shape.size() - indices.size();
  if (tensor.shape.size() <= indices.size() || left > 2)
    failTemplate(loc, tensor.name + ": expected all but one or two dimensions indexed, found " +
                          std::to_string(indices.size()) + " indices of " +
                          std::to_string(tensor.shape.size()));
  View view;
  view.kernel = this;
  view.tensor = tensor;
  view.offset = Scalar(Expression(0), true);
  size_t dimension = 0;
  for (const Scalar &index : indices)
    view.offset = ScalarOperand(view.offset, loc) +
                  ScalarOperand(ScalarOperand(index, loc) *
                                    ScalarOperand(Scalar(tensor.strides[dimension++], true), loc),
                                loc);
  view.length = Scalar(tensor.shape[dimension]);
  view.rowStride = Scalar(tensor.strides[dimension], true);
  view.columns = left == 2 ? static_cast<int>(tensor.shape[dimension + 1].constant()) : 0;
  emitViews(*emit, view, loc);
  return view;
}

View Kernel::slice(const View &view, ScalarOperand start, ScalarOperand length) {
  View result = view;
  result.offset = ScalarOperand(view.offset, start.where) +
                  ScalarOperand(start * ScalarOperand(view.rowStride, start.where), start.where);
  result.length = length.scalar;
  emitViews(*emit, result, start.where);
  return result;
}

View Kernel::every(const View &view, ScalarOperand step, ScalarOperand start,
                   ScalarOperand length) {
  View result = view;
  result.offset = ScalarOperand(view.offset, start.where) +
                  ScalarOperand(start * ScalarOperand(view.rowStride, start.where), start.where);
  result.rowStride = step * ScalarOperand(view.rowStride, step.where);
  result.length = length.scalar;
  emitViews(*emit, result, start.where);
  return result;
}

Tile Kernel::load(const View &view, ScalarOperand row, int count) {
  const Type element = emit->irType(view.tensor.element);
  const auto type = view.columns ? RankedTensorType::get({count, view.columns}, element)
                                 : RankedTensorType::get({count}, element);
  const bool isInside =
      emit->wholeTile && row.scalar.irValue() == emit->wholeTile && count == emit->wholeTileRows;
  return emit->tile(tile::LoadOp::create(emit->builder, emit->at(row.where), type,
                                         emit->visible(view.irValue, row.where),
                                         emit->integer(row.scalar, false, row.where), isInside));
}

static Value loadScalar(Kernel::Emitter &emitter, const View &view, const ScalarOperand &index) {
  return tile::LoadScalarOp::create(emitter.builder, emitter.at(index.where),
                                    emitter.irType(view.tensor.element),
                                    emitter.visible(view.irValue, index.where),
                                    emitter.integer(index.scalar, false, index.where));
}

Scalar Kernel::loadInteger(const View &view, ScalarOperand index) {
  return emit->scalar(loadScalar(*emit, view, index), false);
}

Tile Kernel::loadNumber(const View &view, ScalarOperand index) {
  return emit->tile(loadScalar(*emit, view, index));
}

Tile Kernel::gather(const View &view, const Tile &index, SourceLocation loc) {
  if (index.rank() != 1 || index.element() != Element::I32)
    failTemplate(loc, "expected rows of a view by a 1-D tile of whole numbers");
  const Type element = emit->irType(view.tensor.element);
  const auto type = view.columns ? RankedTensorType::get({index.rows(), view.columns}, element)
                                 : RankedTensorType::get({index.rows()}, element);
  return emit->tile(tile::GatherOp::create(emit->builder, emit->at(loc), type,
                                           emit->visible(view.irValue, loc),
                                           emit->visible(index.irValue(), loc)));
}

View Kernel::columns(const View &view, ScalarOperand start, int count) {
  View result = view;
  result.offset = ScalarOperand(view.offset, start.where) + start;
  result.columns = count;
  emitViews(*emit, result, start.where);
  return result;
}

/// `then` or `otherwise` (null: nothing) where `number` is or is not `expected`.
static void emitBranch(OpBuilder &builder, Location loc, Value number, int expected,
                       llvm::function_ref<void(OpBuilder &)> then,
                       llvm::function_ref<void(OpBuilder &)> otherwise) {
  Value constant = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(expected));
  Value holds = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, number, constant);
  auto region = [](llvm::function_ref<void(OpBuilder &)> emit) {
    return [emit](OpBuilder &inner, Location at) {
      emit(inner);
      scf::YieldOp::create(inner, at);
    };
  };
  if (otherwise)
    scf::IfOp::create(builder, loc, holds, region(then), region(otherwise));
  else
    scf::IfOp::create(builder, loc, holds, region(then));
}

static void emitStore(Kernel::Emitter *emit, const Tile &value, const View &view,
                      const ScalarOperand &row, bool isUnread) {
  OpBuilder &builder = emit->builder;
  const Location loc = emit->at(row.where);
  Value start = emit->integer(row.scalar, false, row.where);
  Value source = emit->visible(value.irValue(), row.where);
  if (value.rank() == 0)
    source = tensor::SplatOp::create(builder, loc, source,
                                     RankedTensorType::get({1}, builder.getF32Type()));
  Value memory = emit->visible(view.irValue, row.where);
  auto symbol = [&](const std::string &name) {
    return name.empty() ? Value()
                        : emit->integer(Scalar(Expression::symbol(name)), false, row.where);
  };
  Value isGiven = symbol(view.tensor.presenceSymbol);
  Value dtype = view.alternative ? symbol(view.tensor.dtypeSymbol) : Value();
  auto storeTo = [&](OpBuilder &inner, Value to) {
    tile::StoreOp::create(inner, loc, source, to, start, isUnread);
  };
  // The caller chose the output's dtype: one branch a tile, not a kernel a dtype.
  auto store = [&](OpBuilder &inner) {
    if (!dtype)
      return storeTo(inner, memory);
    emitBranch(
        inner, loc, dtype, 0, [&](OpBuilder &b) { storeTo(b, memory); },
        [&](OpBuilder &b) { storeTo(b, valueOf(view.alternative)); });
  };
  if (!isGiven)
    return store(builder);
  emitBranch(builder, loc, isGiven, 1, store, nullptr);
}

void Kernel::store(const Tile &tile, const View &view, ScalarOperand row) {
  emitStore(emit.get(), tile, view, row, /*isUnread=*/false);
}

void Kernel::storeUnread(const Tile &tile, const View &view, ScalarOperand row) {
  emitStore(emit.get(), tile, view, row, /*isUnread=*/true);
}

void Kernel::sync(SourceLocation loc) { tile::SyncOp::create(emit->builder, emit->at(loc)); }

} // namespace nysjit
