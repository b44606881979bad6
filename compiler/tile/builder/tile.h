// Tile: a value of static shape in a kernel: [rows, columns], 1-D, or a scalar (rank 0). The
// operations read like the formulas. A 1-D tile enters 2-D arithmetic through rows(x) (one value a
// row) or cols(x) (one value a column).
#pragma once
#include "compiler/tile/builder/scalar.h"

namespace nysjit {

enum class Element { F32, F16, BF16, I32, I1 };
enum class Axis { None, Rows, Columns };

class Tile {
public:
  Tile() = default;
  Tile(Kernel *owner, void *irValue, Element elementType, int rank, int rows, int columns,
       Axis axis = Axis::None)
      : kernel(owner), value(irValue), type(elementType), dimensions(rank), rowCount(rows),
        columnCount(columns), along(axis) {}

  Kernel *owner() const { return kernel; }
  void *irValue() const { return value; }
  Element element() const { return type; }
  int rank() const { return dimensions; }
  int rows() const { return rowCount; }       // rank 1: its length
  int columns() const { return columnCount; } // rank 2 only
  Axis axis() const { return along; }         // rank 1: how it enters 2-D arithmetic
  bool isFloat() const {
    return type == Element::F32 || type == Element::F16 || type == Element::BF16;
  }

private:
  Kernel *kernel = nullptr;
  void *value = nullptr;
  Element type = Element::F32;
  int dimensions = 0;
  int rowCount = 0;
  int columnCount = 0;
  Axis along = Axis::None;
};

/// A Tile, Scalar or number as an operand, with the place it was written.
struct Operand {
  Tile tile;
  Scalar scalar;
  double number = 0;
  enum { IsTile, IsScalar, IsNumber } kind = IsTile;
  SourceLocation where;
};
struct TileOperand : Operand {
  TileOperand(Tile t, SourceLocation loc = SourceLocation::current())
      : Operand{t, {}, 0, IsTile, loc} {}
};
struct NumberOperand : Operand {
  NumberOperand(Scalar s, SourceLocation loc = SourceLocation::current())
      : Operand{{}, std::move(s), 0, IsScalar, loc} {}
  NumberOperand(int i, SourceLocation loc = SourceLocation::current())
      : Operand{{}, Scalar(i), 0, IsScalar, loc} {}
  NumberOperand(double n, SourceLocation loc = SourceLocation::current())
      : Operand{{}, {}, n, IsNumber, loc} {}
};

/// One value a row, or one a column, when used with a 2-D tile.
Tile rows(Tile x);
Tile cols(Tile x);

// Elementwise, between tiles or a tile and a number. Integer tiles (from iota) take + - * / max min
// and comparisons, which give conditions; 16-bit floats widen to float32.
#define NYSJIT_TILE_OPERATION(name)                                                                \
  Tile name(TileOperand a, TileOperand b);                                                         \
  Tile name(TileOperand a, NumberOperand b);                                                       \
  Tile name(NumberOperand a, TileOperand b);
NYSJIT_TILE_OPERATION(operator+)
NYSJIT_TILE_OPERATION(operator-)
NYSJIT_TILE_OPERATION(operator*)
NYSJIT_TILE_OPERATION(operator/)
NYSJIT_TILE_OPERATION(max)
NYSJIT_TILE_OPERATION(min)
NYSJIT_TILE_OPERATION(operator<)
NYSJIT_TILE_OPERATION(operator<=)
NYSJIT_TILE_OPERATION(operator>=)
NYSJIT_TILE_OPERATION(operator==)
#undef NYSJIT_TILE_OPERATION
// Of conditions.
Tile operator&(TileOperand a, TileOperand b);
Tile operator|(TileOperand a, TileOperand b);
Tile operator!(TileOperand a);
Tile exp2(TileOperand x);
Tile log2(TileOperand x);
/// Whole numbers as float32.
Tile toFloat(TileOperand integers);
/// `value` where the condition holds, else `otherwise`, whatever that one's number.
Tile where(TileOperand condition, TileOperand value, TileOperand otherwise);
Tile where(TileOperand condition, TileOperand value, NumberOperand otherwise);
Tile where(TileOperand condition, NumberOperand value, TileOperand otherwise);

} // namespace nysjit
