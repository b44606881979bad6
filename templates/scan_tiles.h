// What scan's kernels make of tiles of positions and landmarks of one head: F = softmax(tau Q
// Ktilde^T), P = F A+, logits x_tj = tau qtilde_j.k_t with positions by rows, and passes over them.
//
// A landmark's state, its OnlineSoftmax over all positions before a tile, has the running maximum
// r_j. In the tile, rows from `start` on are relative to R_j = max(r_j, x_tj for t <= start): no
// weight 2^(x - R) exceeds 2^32 up to the row at which some landmark's does, and there the next
// pass starts. So a row's arithmetic depends on the rows up to it only, all rows of a pass are
// dots, and a tile takes one pass unless scores leap.
#pragma once
#include "templates/scan.h"

namespace nysjit {

/// One pass over a tile [positions, landmarks].
struct ScanPass {
  Tile maximum; // R
  Tile shrink;  // 2^(r - R): what the state before the tile is multiplied with
  Tile weight;  // 2^(x - R), also of rows that the pass has not
  Tile masses;  // sum over t <= i of weights, the state's included
  Tile isOfPass;

  /// 0 in other rows: selected, not multiplied, as there R may be a NaN.
  Tile own(const Tile &values) const { return where(rows(isOfPass), values, 0.0); }
};

class ScanTiles {
public:
  ScanTiles(Kernel &k, const Scan &scan, const BlockConfig &blocks, const InverseWorkspace &inverse,
            const Head &head);

  Scalar all() const { return scan.landmarks; }
  Tile queriesFrom(const Scalar &j0) const {
    return isKept ? keptQueries : k.load(queries, j0, blockN);
  }
  Tile keysFrom(const Scalar &l0) const { return isKept ? keptKeys : k.load(keys, l0, blockN); }
  /// A+ of rows l0 and columns j0 on.
  Tile inverseTile(const Scalar &l0, const Scalar &j0) const {
    return k.load(k.columns(inverted, j0, blockN), l0, blockN);
  }
  /// Calls `body` for the first landmark of each tile of them.
  void forLandmarks(const Carry &carry, const std::function<void(const Scalar &)> &body) const;

  using WeightsOf = std::function<Tile(const Scalar &l0)>;
  /// F of landmarks l0 on: kept where one tile holds all, else computed again.
  WeightsOf weights(const Tile &query) const;
  /// P of landmarks j0 on.
  Tile product(const WeightsOf &weights, const Scalar &j0) const;
  /// x of positions i0 on; of those from `end` on -infinity.
  Tile logits(const Tile &key, const Scalar &i0, const Scalar &j0, const Scalar &end) const;
  /// The states of landmarks j0 on take in positions i0 on, below `end`.
  void advance(OnlineSoftmax &state, const Scalar &i0, const Scalar &j0, const Scalar &end) const;
  /// At most one pass a row, mostly one in all.
  void forPasses(const Tile &x, const OnlineSoftmax &before, const Carry &carry,
                 const std::function<void(const ScanPass &)> &body) const;

  const int blockM;
  const int blockN;
  const bool isKept; // one tile holds all landmarks: their queries and keys are loaded once
  const Tile row;    // of a tile of positions

private:
  Tile landmarkLogits(const Tile &query, const Scalar &l0) const;

  Kernel &k;
  const Scan &scan;
  const Head &head;
  const View queries; // of the landmarks
  const View keys;
  View inverted; // A+
  const Tile scale;
  Tile keptQueries;
  Tile keptKeys;
};

} // namespace nysjit
