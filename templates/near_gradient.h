// Gradients of positions that rows see one by one.
#pragma once
#include "templates/gradients.h"

namespace nysjit {

/// Adds sum over t of dX_it k_t to `dq`, rows of queries, over the positions that their mask lets
/// them see; tau is the caller's.
void addNearQueryGradient(Kernel &k, Tile &dq, const Head &head, const GradientRows &rows,
                          const QueryTile &queries, const Mask &mask, const Range &positions,
                          int block);

/// Sums of some positions of a key head, without tau.
struct KeyGradient {
  Tile key; // [count, d]
  Tile value;
  Tile dk;
  Tile dv;

  KeyGradient(Kernel &k, const Head &head, const Scalar &t0, int count);
  Carry carry() { return {&dk, &dv}; }
  void store(Kernel &k, const Gradients &gradients, const Head &head, const Scalar &t0) const {
    store(k, gradients, head, t0, head.length);
  }
  /// Of positions below `end`.
  void store(Kernel &k, const Gradients &gradients, const Head &head, const Scalar &t0,
             const Scalar &end) const;
};

/// Of rows whose sums in memory take what their tiles of weights have for them, too.
struct QuerySums {
  View sums;
  Scalar t0;                                      // of the tile of positions
  std::function<Mask(const Tile &i)> positionsOf; // which positions rows i see: the mask by columns
};

/// Adds sum over i of dX_it q_i to dk and of P_it dO_i to dv over rows i of a query head; the mask
/// says of each position which rows see it. With `fused`, adds sum over t of dX_it k_t to that.
void addNearKeyGradient(Kernel &k, KeyGradient &sums, const Head &head, const GradientRows &rows,
                        const Mask &mask, const Range &queries, int block,
                        const QuerySums *fused = nullptr);

} // namespace nysjit
