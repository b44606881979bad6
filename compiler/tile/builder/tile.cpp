// Tile arithmetic: finds the common shape, brings every operand to it (splat, broadcast along an
// axis, 16-bit floats widened), and emits one arith or math operation.
#include "compiler/tile/builder/shape.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;
namespace nysjit {

static const char *axisHint = "a 1-D tile enters 2-D arithmetic through rows(x) or cols(x)";

void include(Shape &shape, const Tile &tile, SourceLocation where) {
  if (tile.rank() == 2) {
    if (shape.rank == 2 && (shape.rows != tile.rows() || shape.columns != tile.columns()))
      failTemplate(where, "expected tiles of one shape, found " + std::to_string(shape.rows) + "x" +
                              std::to_string(shape.columns) + " and " +
                              std::to_string(tile.rows()) + "x" + std::to_string(tile.columns()));
    if (shape.rank == 1 && shape.rows != (shape.axis == Axis::Rows ? tile.rows() : tile.columns()))
      failTemplate(where, std::string("expected a 1-D tile that fits; ") + axisHint);
    shape = {2, tile.rows(), tile.columns(), Axis::None};
  } else if (tile.rank() == 1) {
    if (shape.rank == 2) {
      if (tile.axis() == Axis::None ||
          (tile.axis() == Axis::Rows ? shape.rows : shape.columns) != tile.rows())
        failTemplate(where, std::string("expected a 1-D tile that fits; ") + axisHint);
    } else if (shape.rank == 1 && shape.axis != tile.axis()) {
      if (shape.axis == Axis::None || tile.axis() == Axis::None)
        failTemplate(where, axisHint);
      const bool rowsFirst = shape.axis == Axis::Rows;
      shape = {2, rowsFirst ? shape.rows : tile.rows(), rowsFirst ? tile.rows() : shape.rows,
               Axis::None};
    } else if (shape.rank == 1 && shape.rows != tile.rows()) {
      failTemplate(where, "expected 1-D tiles of one length, found " + std::to_string(shape.rows) +
                              " and " + std::to_string(tile.rows()));
    } else if (shape.rank == 0) {
      shape = {1, tile.rows(), 0, tile.axis()};
    }
  }
}

Kernel *ownerOf(std::initializer_list<const Operand *> operands) {
  for (const Operand *operand : operands)
    if (Kernel *kernel = operand->kind == Operand::IsTile ? operand->tile.owner() : nullptr)
      return kernel;
  failTemplate((*operands.begin())->where,
               "expected a tile among the operands, found only constants");
}

Type shaped(const Shape &shape, Type element) {
  if (shape.rank == 0)
    return element;
  if (shape.rank == 1)
    return RankedTensorType::get({shape.rows}, element);
  return RankedTensorType::get({shape.rows, shape.columns}, element);
}

Value conform(Kernel::Emitter &emitter, const Operand &operand, const Shape &shape,
              Element element) {
  OpBuilder &builder = emitter.builder;
  const Location loc = emitter.at(operand.where);
  const Type type = emitter.irType(element);
  Value value;
  int rank = 0;
  Axis axis = Axis::None;
  if (operand.kind == Operand::IsNumber) {
    value = arith::ConstantOp::create(builder, loc,
                                      builder.getF32FloatAttr(static_cast<float>(operand.number)));
  } else if (operand.kind == Operand::IsScalar) {
    value = emitter.integer(operand.scalar, false, operand.where);
    if (element == Element::F32)
      value = arith::SIToFPOp::create(builder, loc, type, value);
  } else {
    const Tile &tile = operand.tile;
    value = emitter.visible(tile.irValue(), operand.where);
    rank = tile.rank();
    axis = tile.axis();
    const Type own = shaped({tile.rank(), tile.rows(), tile.columns(), Axis::None}, type);
    if (element == Element::F32 &&
        (tile.element() == Element::F16 || tile.element() == Element::BF16))
      value = arith::ExtFOp::create(builder, loc, own, value);
    else if (element == Element::F32 && tile.element() == Element::I32)
      value = arith::SIToFPOp::create(builder, loc, own, value);
    else if (tile.element() != element)
      failTemplate(operand.where, "operand of the wrong element type");
  }
  if (rank == shape.rank)
    return value;
  const Type result = shaped(shape, type);
  if (rank == 0)
    return tensor::SplatOp::create(builder, loc, value, cast<RankedTensorType>(result));
  return tile::BroadcastOp::create(builder, loc, result, value, axis == Axis::Rows ? 0 : 1);
}

namespace {

/// Emits `emit` over operands brought to their common shape.
template <typename Emit>
Tile elementwise(std::initializer_list<const Operand *> operands, Element element, Emit emit) {
  Kernel::Emitter &emitter = ownerOf(operands)->emitter();
  Shape shape;
  SourceLocation where = (*operands.begin())->where;
  for (const Operand *operand : operands)
    if (operand->kind == Operand::IsTile)
      include(shape, operand->tile, operand->where);
  SmallVector<Value> values;
  for (const Operand *operand : operands)
    values.push_back(conform(emitter, *operand, shape, element));
  return emitter.tile(emit(emitter.builder, emitter.at(where), values), shape.axis);
}

bool isInteger(const Operand &x) {
  return x.kind == Operand::IsScalar ||
         (x.kind == Operand::IsTile && x.tile.element() == Element::I32);
}

template <typename FloatOp, typename IntOp> Tile arithmetic(const Operand &a, const Operand &b) {
  if (isInteger(a) && isInteger(b))
    return elementwise({&a, &b}, Element::I32,
                       [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                         return IntOp::create(builder, loc, v[0], v[1]);
                       });
  return elementwise({&a, &b}, Element::F32,
                     [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       return FloatOp::create(builder, loc, v[0], v[1]);
                     });
}

Tile compare(const Operand &a, const Operand &b, arith::CmpIPredicate integer,
             arith::CmpFPredicate real) {
  if (isInteger(a) && isInteger(b))
    return elementwise({&a, &b}, Element::I32,
                       [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                         return arith::CmpIOp::create(builder, loc, integer, v[0], v[1]);
                       });
  return elementwise({&a, &b}, Element::F32,
                     [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       return arith::CmpFOp::create(builder, loc, real, v[0], v[1]);
                     });
}

Tile along(Tile x, Axis axis) {
  return Tile(x.owner(), x.irValue(), x.element(), x.rank(), x.rows(), x.columns(),
              x.rank() == 1 ? axis : Axis::None);
}

} // namespace

Tile rows(Tile x) { return along(x, Axis::Rows); }
Tile cols(Tile x) { return along(x, Axis::Columns); }

#define NYSJIT_TILE_OPERATION(name, implementation)                                                \
  Tile name(TileOperand a, TileOperand b) { return implementation; }                               \
  Tile name(TileOperand a, NumberOperand b) { return implementation; }                             \
  Tile name(NumberOperand a, TileOperand b) { return implementation; }
NYSJIT_TILE_OPERATION(operator+, (arithmetic<arith::AddFOp, arith::AddIOp>(a, b)))
NYSJIT_TILE_OPERATION(operator-, (arithmetic<arith::SubFOp, arith::SubIOp>(a, b)))
NYSJIT_TILE_OPERATION(operator*, (arithmetic<arith::MulFOp, arith::MulIOp>(a, b)))
NYSJIT_TILE_OPERATION(operator/, (arithmetic<arith::DivFOp, arith::DivUIOp>(a, b)))
NYSJIT_TILE_OPERATION(max, (arithmetic<arith::MaxNumFOp, arith::MaxSIOp>(a, b)))
NYSJIT_TILE_OPERATION(min, (arithmetic<arith::MinNumFOp, arith::MinSIOp>(a, b)))
NYSJIT_TILE_OPERATION(operator<,
                      compare(a, b, arith::CmpIPredicate::slt, arith::CmpFPredicate::OLT))
NYSJIT_TILE_OPERATION(operator<=,
                      compare(a, b, arith::CmpIPredicate::sle, arith::CmpFPredicate::OLE))
NYSJIT_TILE_OPERATION(operator>=,
                      compare(a, b, arith::CmpIPredicate::sge, arith::CmpFPredicate::OGE))
NYSJIT_TILE_OPERATION(operator==,
                      compare(a, b, arith::CmpIPredicate::eq, arith::CmpFPredicate::OEQ))
#undef NYSJIT_TILE_OPERATION

Tile operator&(TileOperand a, TileOperand b) {
  return elementwise({&a, &b}, Element::I1,
                     [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       return arith::AndIOp::create(builder, loc, v[0], v[1]);
                     });
}
Tile operator|(TileOperand a, TileOperand b) {
  return elementwise({&a, &b}, Element::I1,
                     [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       return arith::OrIOp::create(builder, loc, v[0], v[1]);
                     });
}
Tile operator!(TileOperand a) {
  return elementwise({&a}, Element::I1,
                     [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       auto type = v[0].getType();
                       TypedAttr ones = builder.getBoolAttr(true);
                       if (auto tile = dyn_cast<RankedTensorType>(type))
                         ones = DenseElementsAttr::get(tile, true);
                       Value one = arith::ConstantOp::create(builder, loc, ones);
                       return arith::XOrIOp::create(builder, loc, v[0], one);
                     });
}

Tile exp2(TileOperand x) {
  return elementwise({&x}, Element::F32,
                     [](OpBuilder &b, Location loc, ArrayRef<Value> v) -> Value {
                       return math::Exp2Op::create(b, loc, v[0]);
                     });
}
Tile log2(TileOperand x) {
  return elementwise({&x}, Element::F32,
                     [](OpBuilder &b, Location loc, ArrayRef<Value> v) -> Value {
                       return math::Log2Op::create(b, loc, v[0]);
                     });
}

Tile toFloat(TileOperand integers) {
  return elementwise({&integers}, Element::F32,
                     [](OpBuilder &, Location, ArrayRef<Value> v) -> Value { return v[0]; });
}

static Tile selectOf(const Operand &mask, const Operand &value, const Operand &otherwise) {
  Kernel::Emitter &emitter = ownerOf({&mask})->emitter();
  Shape shape;
  for (const Operand *operand : {&value, &otherwise, &mask})
    if (operand->kind == Operand::IsTile)
      include(shape, operand->tile, operand->where);
  const Element element = isInteger(value) && isInteger(otherwise) ? Element::I32 : Element::F32;
  Value condition = conform(emitter, mask, shape, Element::I1);
  Value chosen = conform(emitter, value, shape, element);
  Value rest = conform(emitter, otherwise, shape, element);
  return emitter.tile(
      arith::SelectOp::create(emitter.builder, emitter.at(mask.where), condition, chosen, rest),
      shape.axis);
}
Tile where(TileOperand mask, TileOperand value, TileOperand otherwise) {
  return selectOf(mask, value, otherwise);
}
Tile where(TileOperand mask, TileOperand value, NumberOperand otherwise) {
  return selectOf(mask, value, otherwise);
}

Tile where(TileOperand mask, NumberOperand value, TileOperand otherwise) {
  return selectOf(mask, value, otherwise);
}

} // namespace nysjit
