// Blocks that query rows see through probes, as columns of a tile: which they are, and their
// logits.
#pragma once
#include "templates/probes.h"

namespace nysjit {

/// Far blocks of some query rows as columns of a tile.
struct BlockColumns {
  Tile row; // of their memory; below 0 where there is none
  TileMask seen;

  /// The rows of a head's first probe; below 0 where `row` is.
  Tile firstRow(const ProbeViews &views) const { return row * views.step + views.start; }
};

/// Number `index` of these.
Scalar select(const Scalar &index, const std::vector<Scalar> &numbers);

/// The blocks of all levels that rows see of which the first has `least` segments before its near
/// ones, the last `most`: level by level, each in the order of its blocks. Of E segments before the
/// near ones, left(E, l) = max((E + b) / 2^l - b, 0) blocks of level l are left when the levels
/// before have taken theirs, and the last of them, from 2 left(E, l + 1) on, are that level's.
class DyadicColumns {
public:
  DyadicColumns(const Probes &probes, const Scalar &least, const Scalar &most);

  const Scalar &count() const { return total; }
  int levels() const { return int(starts.size()); }
  /// Columns of a level, and the block that the first of them is.
  Range columnsOf(const Scalar &level) const;
  Scalar firstBlock(const Scalar &level) const;
  /// Of columns: each block plus its level's number; below 0 where there is none.
  Tile numbers(const Tile &column, const std::vector<Scalar> &ofLevel) const;
  /// Columns j0 on. Rows i0 on see all of them (`isOneSegment`), or those of their own.
  BlockColumns columns(Kernel &k, const Scalar &j0, int count, bool isOneSegment, const Scalar &i0,
                       const Segments &segments, int window) const;

private:
  int width;
  Scalar most;
  Scalar total = 0;
  std::vector<Scalar> starts; // of a level's columns
  std::vector<Scalar> shifts; // from a column of the level to its block
};

/// l_p of rows and blocks, base 2, as top + more_p: `top` the largest tau q.khat_p, which may be so
/// large that the rest would be lost in it.
struct BlockLogits {
  Tile top;
  std::vector<Tile> more;
  std::vector<Tile> alpha; // times their sum
  Tile share;              // one over their sum
  Tile mean;               // sum alpha_p more_p: the block's logit less the top

  BlockLogits(Kernel &k, const ProbeViews &views, int probes, const Tile &query,
              const BlockColumns &columns);
};

/// How many blocks are a tile's columns: those of 8 to 16 levels of width 1.
constexpr int blockColumns = 16;

/// Blocks that some rows see, so many at a time.
struct FarBlocks {
  BlockColumns columns;
  Scalar j0;             // the first column
  DyadicColumns *dyadic; // null where column j is block j
};

/// Calls `body` for the blocks that a tile of query rows sees, `count` at a time, in their order.
void forBlocks(Kernel &k, const Probes &probes, const Segments &segments, const QueryTile &rows,
               const NearAndFar &seen, int count, const Carry &carry,
               const std::function<void(const FarBlocks &)> &body);

} // namespace nysjit
