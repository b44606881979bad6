// Each word is one operation of the tile dialect.
#include "compiler/tile/builder/tile_ops.h"
#include "compiler/tile/builder/shape.h"

using namespace mlir;
namespace nysjit {

DotOptions DotOptions::zeroElsewhere(const TileMask &mask, DotPrecision precision) {
  DotOptions options(precision);
  options.nonzeroWhere = mask;
  return options;
}

namespace {

Tile dotOf(const Tile *accumulator, const DotOperand &a, const DotOperand &b,
           const DotOptions &options, SourceLocation where) {
  const Tile &left = a.tile;
  const Tile &right = b.tile;
  const int inner = a.isTransposed ? left.rows() : left.columns();
  if (left.rank() != 2 || right.rank() != 2 ||
      inner != (b.isTransposed ? right.columns() : right.rows()))
    failTemplate(where, std::string("expected a dot of ") + (a.isTransposed ? "[K, M]" : "[M, K]") +
                            " and " + (b.isTransposed ? "[N, K]" : "[K, N]"));
  Kernel &kernel = *left.owner();
  Kernel::Emitter &emitter = kernel.emitter();
  const int rows = a.isTransposed ? left.columns() : left.rows();
  const int columns = b.isTransposed ? right.rows() : right.columns();
  auto maskOf = [&](const TileMask &mask, int height, int width) {
    return mask.hidesNothing() ? Value() : valueOf(mask.over(kernel, height, width).irValue());
  };
  Value first = emitter.visible(left.irValue(), where);
  Value second = emitter.visible(right.irValue(), where);
  Value sum = accumulator ? emitter.visible(accumulator->irValue(), where) : Value();
  Value readWhere = maskOf(options.readWhere, rows, columns);
  Value nonzeroWhere = maskOf(options.nonzeroWhere, left.rows(), left.columns());
  const Type type = shaped({2, rows, columns, Axis::None}, emitter.irType(Element::F32));
  return emitter.tile(tile::DotOp::create(emitter.builder, emitter.at(where), type, first, second,
                                          sum, readWhere, nonzeroWhere, a.isTransposed,
                                          b.isTransposed, /*skips_zeros=*/false,
                                          static_cast<tile::Precision>(options.precision)));
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
  const Type type = shaped(left, emitter.irType(Element::F32));
  return emitter.tile(
      tile::ReduceOp::create(emitter.builder, emitter.at(where), type, value, kind, axis));
}

/// A 2-D tile as float32.
Value matrixOf(const Tile &x, const char *what, SourceLocation where) {
  if (!x.owner() || x.rank() != 2)
    failTemplate(where, std::string("expected a tile of rank 2 to ") + what + ", found rank " +
                            std::to_string(x.rank()));
  return conform(x.owner()->emitter(), TileOperand(x, where),
                 {2, x.rows(), x.columns(), Axis::None}, Element::F32);
}

} // namespace

Tile dot(DotOperand a, DotOperand b, const DotOptions &options, SourceLocation loc) {
  return dotOf(nullptr, a, b, options, loc);
}
Tile dotAdd(Tile accumulator, DotOperand a, DotOperand b, const DotOptions &options,
            SourceLocation loc) {
  return dotOf(&accumulator, a, b, options, loc);
}

Tile rowMax(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 1, 2, loc); }
Tile rowMin(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Min, 1, 2, loc); }
Tile rowSum(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 1, 2, loc); }
Tile columnMax(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 0, 2, loc); }
Tile columnMin(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Min, 0, 2, loc); }
Tile columnSum(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 0, 2, loc); }
Tile maxOf(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Max, 0, 1, loc); }
Tile minOf(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Min, 0, 1, loc); }
Tile sumOf(Tile x, SourceLocation loc) { return reduce(x, tile::ReduceKind::Sum, 0, 1, loc); }

Tile cumulativeSum(Tile x, Axis along, SourceLocation loc) {
  Value value = matrixOf(x, "sum along", loc);
  Kernel::Emitter &emitter = x.owner()->emitter();
  return emitter.tile(tile::CumulativeSumOp::create(
      emitter.builder, emitter.at(loc), value.getType(), value, along == Axis::Columns ? 1 : 0));
}

Tile roundOperand(Tile x, SourceLocation loc) {
  Value value = matrixOf(x, "round", loc);
  Kernel::Emitter &emitter = x.owner()->emitter();
  return emitter.tile(
      tile::RoundOperandOp::create(emitter.builder, emitter.at(loc), value.getType(), value));
}

Tile transpose(Tile x, SourceLocation loc) {
  Value value = matrixOf(x, "transpose", loc);
  Kernel::Emitter &emitter = x.owner()->emitter();
  const Type type = shaped({2, x.columns(), x.rows(), Axis::None}, emitter.irType(Element::F32));
  return emitter.tile(tile::TransposeOp::create(emitter.builder, emitter.at(loc), type, value));
}

Tile triangularSolve(Triangle triangle, Tile of, Tile rhs, SourceLocation loc) {
  Kernel::Emitter &emitter = of.owner()->emitter();
  Value right = emitter.visible(rhs.irValue(), loc);
  Value left = emitter.visible(of.irValue(), loc);
  return emitter.tile(tile::TriangularSolveOp::create(
      emitter.builder, emitter.at(loc), right.getType(), left, right, triangle == Triangle::Upper));
}

} // namespace nysjit
