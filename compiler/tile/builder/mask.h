// Mask: which positions (or landmarks) each row of a tile of logits sees, said once: forTiles takes
// it to know which tiles need no mask, and hands its body which elements of the tile at hand are
// seen, which `where` and dots take.
//
//   const Mask past = Mask::upTo(i).allSee({0, i0 + 1});       // row i sees t <= i
//   k.forTiles(positions, past, blockN, softmax.carry(), [&](Scalar t0, const TileMask &seen) {
//     softmax.add(dot(query, transposed(k.load(key, t0, blockN)), seen) * scale, value, seen);
//   });
#pragma once
#include "compiler/tile/builder/tile.h"

#include <optional>

namespace nysjit {

/// Half-open range of positions.
struct Range {
  Scalar begin;
  Scalar end;
};

/// A number for all rows, or one a row (a 1-D integer tile); where rows count, for columns.
struct RowLimit {
  Tile each;
  Scalar all;
  SourceLocation where;
  RowLimit(Tile tile, SourceLocation loc = SourceLocation::current()) : each(tile), where(loc) {}
  RowLimit(Scalar scalar, SourceLocation loc = SourceLocation::current())
      : all(std::move(scalar)), where(loc) {}
  bool isTile() const { return each.irValue(); }
};

class Mask {
public:
  /// All is seen.
  Mask() = default;
  /// Row i sees positions below end_i, or up to and with last_i.
  static Mask below(RowLimit end) { return Mask(std::move(end), false); }
  static Mask upTo(RowLimit last) { return Mask(std::move(last), true); }
  /// The other way round: column j is seen by the rows below end_j, whose numbers count from where
  /// the TileMask begins. Not for forTiles.
  static Mask rowsBelow(RowLimit end) {
    Mask mask(std::move(end), false);
    mask.countsRows = true;
    return mask;
  }
  /// The same from begin_i on.
  Mask from(RowLimit begin) const;
  /// Positions that all rows see: a tile within them is not masked. Without: none are known to be.
  Mask allSee(Range positions) const;

  bool hidesNothing() const { return !end; }
  const Range &seenByAll() const { return all; }

private:
  friend class TileMask;
  Mask(RowLimit limit, bool inclusive) : end(std::move(limit)), isInclusive(inclusive) {}
  std::optional<RowLimit> end;
  std::optional<RowLimit> begin;
  bool isInclusive = false;
  bool countsRows = false;
  Range all{0, 0};
};

/// Which elements a Mask lets be seen of the tile of positions (rows, where those count) from
/// `first` on.
class TileMask {
public:
  /// All.
  TileMask() = default;
  TileMask(Mask of, Scalar firstPosition) : mask(std::move(of)), first(std::move(firstPosition)) {}

  bool hidesNothing() const { return mask.hidesNothing(); }
  /// The same without where rows begin.
  TileMask withoutBegin() const;
  /// Of a tile [rows, columns] whose columns are the positions: which elements are seen. In the
  /// kernel that `kernel` is; only where something is hidden.
  Tile over(Kernel &kernel, int rows, int columns) const;

private:
  Mask mask;
  Scalar first;
};

/// `value` where it is seen, else `otherwise`.
Tile where(const TileMask &seen, TileOperand value, NumberOperand otherwise);

} // namespace nysjit
