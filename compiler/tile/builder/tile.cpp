// Tile arithmetic: finds the common shape, brings every operand to it (splat, broadcast along an
// axis, 16-bit floats widened), and emits one arith, math or tile operation.
#include "compiler/tile/builder/emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;
namespace nysjit {

namespace {

struct Shape {
  int rank = 0;
  int rows = 0;
  int columns = 0;
  Axis axis = Axis::None;
};

const char *axisHint = "a 1-D tile enters 2-D arithmetic through rows(x) or cols(x)";

/// Widens `shape` so that `tile` fits.
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

/// The operand as a value of `shape` with the given element type (f32, i32 or i1).
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

Value dotOp(Kernel::Emitter &emitter, const Tile *accumulator, Tile a, Tile b, bool transpose,
            DotPrecision precision, SourceLocation where) {
  if (a.rank() != 2 || b.rank() != 2 || a.columns() != (transpose ? b.columns() : b.rows()))
    failTemplate(where,
                 "expected a dot of [M, K] and " + std::string(transpose ? "[N, K]" : "[K, N]"));
  const Type result = shaped({2, a.rows(), transpose ? b.rows() : b.columns(), Axis::None},
                             emitter.irType(Element::F32));
  Value sum = accumulator ? emitter.visible(accumulator->irValue(), where) : Value();
  return tile::DotOp::create(
      emitter.builder, emitter.at(where), result, emitter.visible(a.irValue(), where),
      emitter.visible(b.irValue(), where), sum, Value(), Value(), /*transpose_a=*/false, transpose,
      static_cast<tile::Precision>(precision));
}

Tile reduce(Tile x, tile::ReduceKind kind, int axis, int rank, SourceLocation where) {
  if (!x.owner() || x.rank() != rank)
    failTemplate(where, "expected a tile of rank " + std::to_string(rank) +
                            " to reduce, found rank " + std::to_string(x.rank()));
  Kernel::Emitter &emitter = x.owner()->emitter();
  const Shape left =
      rank == 1 ? Shape{} : Shape{1, axis == 1 ? x.rows() : x.columns(), 0, Axis::None};
  Value value = conform(emitter, TileOperand(x, where),
                        {x.rank(), x.rows(), x.columns(), Axis::None}, Element::F32);
  return emitter.tile(tile::ReduceOp::create(emitter.builder, emitter.at(where),
                                             shaped(left, emitter.irType(Element::F32)), value,
                                             kind, axis));
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
#undef NYSJIT_TILE_OPERATION

Tile operator&(TileOperand a, TileOperand b) {
  return elementwise({&a, &b}, Element::I1,
                     [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
                       return arith::AndIOp::create(builder, loc, v[0], v[1]);
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

static Tile selectOf(const Operand &mask, const Operand &value, const Operand &otherwise) {
  Kernel::Emitter &emitter = ownerOf({&mask})->emitter();
  Shape shape;
  for (const Operand *operand : {&value, &otherwise, &mask})
    if (operand->kind == Operand::IsTile)
      include(shape, operand->tile, operand->where);
  Value condition = conform(emitter, mask, shape, Element::I1);
  Value chosen = conform(emitter, value, shape, Element::F32);
  Value rest = conform(emitter, otherwise, shape, Element::F32);
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

Tile dot(Tile a, Tile b, DotPrecision precision, SourceLocation loc) {
  Kernel::Emitter &emitter = a.owner()->emitter();
  return emitter.tile(dotOp(emitter, nullptr, a, b, false, precision, loc));
}
Tile dotT(Tile a, Tile b, DotPrecision precision, SourceLocation loc) {
  Kernel::Emitter &emitter = a.owner()->emitter();
  return emitter.tile(dotOp(emitter, nullptr, a, b, true, precision, loc));
}
Tile dotAdd(Tile accumulator, Tile a, Tile b, DotPrecision precision, SourceLocation loc) {
  Kernel::Emitter &emitter = a.owner()->emitter();
  return emitter.tile(dotOp(emitter, &accumulator, a, b, false, precision, loc));
}

Tile rowMax(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 1, 2, loc); }
Tile rowSum(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 1, 2, loc); }
Tile columnMax(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 0, 2, loc); }
Tile columnSum(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 0, 2, loc); }
Tile maxOf(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 0, 1, loc); }
Tile sumOf(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 0, 1, loc); }

Tile transpose(Tile x, SourceLocation loc) {
  if (!x.owner() || x.rank() != 2)
    failTemplate(loc,
                 "expected a tile of rank 2 to transpose, found rank " + std::to_string(x.rank()));
  Kernel::Emitter &emitter = x.owner()->emitter();
  Value value =
      conform(emitter, TileOperand(x, loc), {2, x.rows(), x.columns(), Axis::None}, Element::F32);
  const Type type = shaped({2, x.columns(), x.rows(), Axis::None}, emitter.irType(Element::F32));
  return emitter.tile(tile::TransposeOp::create(emitter.builder, emitter.at(loc), type, value));
}

Tile triangularSolve(Tile lower, Tile rhs, SourceLocation loc) {
  Kernel::Emitter &emitter = lower.owner()->emitter();
  Value right = emitter.visible(rhs.irValue(), loc);
  return emitter.tile(
      tile::TriangularSolveOp::create(emitter.builder, emitter.at(loc), right.getType(),
                                      emitter.visible(lower.irValue(), loc), right));
}

} // namespace nysjit
