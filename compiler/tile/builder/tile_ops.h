// What upstream has no word for: dots, reductions, sums along an axis, transposes, triangular
// solves.
#pragma once
#include "compiler/tile/builder/mask.h"

namespace nysjit {

/// The least precise products a dot may use (see tile.dot): its operands rounded to the spec's
/// dtype, float32 operands as two 16-bit terms, or float32 products.
enum class DotPrecision { Input, TwoTerms, Full };

/// An operand of a dot, as it is or transposed.
struct DotOperand {
  Tile tile;
  bool isTransposed = false;
  DotOperand(Tile t) : tile(std::move(t)) {}
  DotOperand(Tile t, bool transpose) : tile(std::move(t)), isTransposed(transpose) {}
};
inline DotOperand transposed(const Tile &tile) { return DotOperand(tile, true); }

/// How a dot is computed, and what of it may be left out.
struct DotOptions {
  DotPrecision precision = DotPrecision::Input;
  TileMask readWhere;    // nothing depends on the result elsewhere: it may hold anything there
  TileMask nonzeroWhere; // the left operand, not transposed, is 0 elsewhere

  DotOptions() = default;
  DotOptions(DotPrecision p) : precision(p) {}
  DotOptions(const TileMask &read) : readWhere(read) {}
  DotOptions(DotPrecision p, const TileMask &read) : precision(p), readWhere(read) {}
  static DotOptions zeroElsewhere(const TileMask &mask,
                                  DotPrecision precision = DotPrecision::Input);
};

/// a [M, K] times b [K, N]; either may be transposed.
Tile dot(DotOperand a, DotOperand b, const DotOptions &options = {},
         SourceLocation loc = SourceLocation::current());
/// accumulator + a times b.
Tile dotAdd(Tile accumulator, DotOperand a, DotOperand b, const DotOptions &options = {},
            SourceLocation loc = SourceLocation::current());

/// Over each row's columns, [M, N] -> [M]; over all rows, [M, N] -> [N]; over a 1-D tile, to a
/// scalar.
Tile rowMax(Tile x, SourceLocation loc = SourceLocation::current());
Tile rowMin(Tile x, SourceLocation loc = SourceLocation::current());
Tile rowSum(Tile x, SourceLocation loc = SourceLocation::current());
Tile columnMax(Tile x, SourceLocation loc = SourceLocation::current());
Tile columnMin(Tile x, SourceLocation loc = SourceLocation::current());
Tile columnSum(Tile x, SourceLocation loc = SourceLocation::current());
Tile maxOf(Tile x, SourceLocation loc = SourceLocation::current());
Tile minOf(Tile x, SourceLocation loc = SourceLocation::current());
Tile sumOf(Tile x, SourceLocation loc = SourceLocation::current());

/// Row i (Axis::Rows) or column i is the sum of those from 0 to i.
Tile cumulativeSum(Tile x, Axis along, SourceLocation loc = SourceLocation::current());

/// [M, N] -> [N, M].
Tile transpose(Tile x, SourceLocation loc = SourceLocation::current());
/// What a dot takes of x as a computed operand: rounded where products are of fewer bits, as on a
/// GPU in 16 bits. Where it has a sum, too, products and sum are of the same numbers.
Tile roundOperand(Tile x, SourceLocation loc = SourceLocation::current());

enum class Triangle { Lower, Upper };
/// x of (I + the strict triangle of `of`) x = rhs. The rest of `of` is not read.
Tile triangularSolve(Triangle triangle, Tile of, Tile rhs,
                     SourceLocation loc = SourceLocation::current());

} // namespace nysjit
