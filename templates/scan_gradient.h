// scan, backward. With z_j(i) = sum over t <= i of e^{x_tj} and C_j(i) the running mean of v under
// landmark j, O_i = sum over j of P_ij C_j(i), P = F A+, F = softmax(tau Q Ktilde^T):
//   dP_ij = dO_i.C_j(i),  dF = dP (A+)^T,  dY = F (dF - row sums of F dF)  by the logits of F
//   dq_i = tau sum over l of dY_il ktilde_l,  dktilde_l += tau sum over i of dY_il q_i
//   d(A+)^T_jl = sum over i of dP_ij F_il            and through the iteration (inverse_gradient.h)
// and with sums over the rows that see position t,
//   S_j(t) = sum over i >= t of P_ij / z_j(i) dO_i,  h_j(t) = sum of P_ij / z_j(i) dP_ij:
//   dv_t = sum over j of e^{x_tj} S_j(t),  dx_tj = e^{x_tj} (S_j(t).v_t - h_j(t))
//   dk_t = tau sum over j of dx_tj qtilde_j,  dqtilde_j += tau sum over t of dx_tj k_t
// Positions lie in chunks. Before a chunk a landmark has its state (scan_tiles.h), after it S and h
// over all later rows, in units of 2^-unit_j with unit_j the maximum of x_tj up to the chunk's end:
// each factor is 1 at most, whatever the scores.
//
// Kernels:
//   landmark_means     first_k only
//   scan_inverse       A+
//   scan_chunks        without a split: the state before each chunk                 scan_rows.cpp
//   scan_columns       a cell for each part of a key head, its blocks from the last on: dk, dv,
//                      partial dqtilde; without a split dq, partial dktilde and d(A+), too
//                                                                               scan_columns.cpp
//   scan_partial_sums  a cell for each A+: the partial sums, in the order of sequences and parts
//   scan_inverse_gradient  the same: through A+
//   landmark_query_gradient, landmark_key_gradient  learned only: sums of all that reads them
//   first_output, position_gradient  first_k only: exact causal attention of the
//                      first rows, and through their means                  scan_first_gradient.cpp
// and with a split, instead of scan_chunks,
//   scan_sums, scan_states  the states before each part                           scan_states.cpp
//   scan_rows          a cell for each part of a query head: dq, partial dktilde and d(A+), the
//                      state before each chunk and the chunk's share of S and h     scan_rows.cpp
//   scan_suffixes      some landmarks of a head: S and h after each chunk           scan_rows.cpp
#pragma once
#include "templates/inverse_gradient.h"
#include "templates/near_gradient.h"
#include "templates/scan_tiles.h"

namespace nysjit {

/// S and h of landmarks j0 on: sum 2^-unit, mean 2^-unit.
struct ScanSuffix {
  Tile unit;
  Tile sum;
  Tile mean;
};

struct ScanGradient {
  const Scan &scan;
  const InverseWorkspace &inverse;
  const Gradients &gradients;
  const BlockConfig rowBlocks; // of scan_rows, or of scan_columns where that has the rows
  const bool isOneSweep;       // no split: scan_columns has the rows, too
  const int chunkLength;
  const int columns; // of matrices: whole tiles of all that read them, 0 beyond the landmarks
  PartialSums chunkStates;
  PartialSums blockStates; // before each block of scan_columns in a chunk, [heads, parts * blocks]
  TensorRef unit;          // [heads, chunks, m]
  TensorRef sum;           // [heads, chunks, m, d]
  TensorRef mean;          // [heads, chunks, m]
  TensorRef inverseParts;  // of d(A+)^T, [heads, parts, m, columns]; tau's factors are without it
  TensorRef queryParts;    // of dqtilde, [heads, parts, m, d]
  TensorRef keyParts;      // of dktilde
  TensorRef inverseSums;   // [A+'s, m, columns]
  TensorRef querySums;     // [A+'s, m, d]
  TensorRef keySums;
  TensorRef dWeights; // dP and dF of a tile of rows, [heads, parts, block_m, columns], or nameless
  TensorRef dShares;
  TensorRef firstKey; // dk and dv of first_k's rows, [B * Hkv, k0, d]
  TensorRef firstValue;

  ScanGradient(const Scan &scan, const InverseWorkspace &inverse, const Gradients &gradients,
               const BlockConfig &rowBlocks);

  int blocksOfChunk() const { return (chunkLength - 1) / *scan.blocks.blockM + 1; }
  Scalar chunks() const { return ceilDiv(scan.attention.maxLength, chunkLength); }
  /// The landmarks' rows of a tensor.
  View landmarksOf(Kernel &k, const TensorRef &tensor, const Scalar &first,
                   const Scalar &second) const {
    return k.slice(k.view(tensor, {first, second}), 0, scan.landmarks);
  }
  ScanSuffix load(Kernel &k, const Scalar &head, const Scalar &chunk, const Scalar &j0,
                  int count) const;
  void store(Kernel &k, const ScanSuffix &suffix, const Scalar &head, const Scalar &chunk,
             const Scalar &j0) const;
  /// Adds what `product` is to the partial sums at rows `row`.
  static void addTo(Kernel &k, const View &sums, const Scalar &row, const Tile &product);
  /// A head's rows that landmarks serve, at the numbers that positions have less k0.
  View served(Kernel &k, const TensorRef &tensor, const Head &head, const Scalar &end) const;
};

/// What rows of a head give P's factors: dq, and their share of dktilde and d(A+).
struct ScanWeights {
  Kernel &k;
  const ScanGradient &of;
  const ScanTiles &tiles;
  const Head &head;
  const Scalar part;

  /// The part's sums are 0.
  void begin() const;
  /// Where landmarks take several tiles, dP of those from j0 on waits in memory; else it is
  /// `dWeights`.
  void keep(const Tile &dP, const Scalar &j0) const;
  ScanTiles::WeightsOf kept(const Tile &dWeights) const;
  /// Rows i0 on, of which `weights` are F and `dWeights` dP; stores to `dq`.
  void add(const Scalar &i0, const Tile &query, const ScanTiles::WeightsOf &weights,
           const ScanTiles::WeightsOf &dWeights, const View &dq) const;

private:
  View partOf(const TensorRef &tensor) const { return of.landmarksOf(k, tensor, head.pair, part); }
  /// A tile of rows, landmarks j0 on.
  View scratch(const TensorRef &tensor, const Scalar &j0) const {
    return k.columns(k.view(tensor, {head.pair, part}), j0, tiles.blockN);
  }
  Tile inverseGradient(const ScanTiles::WeightsOf &dWeights, const Scalar &l0) const;
};

/// The kernels' pages.
void writeScanChunks(const ScanGradient &gradient);
void writeScanRows(const ScanGradient &gradient);
void writeScanSuffixes(const ScanGradient &gradient);
void writeScanColumns(const ScanGradient &gradient);
void writeFirstGradient(const ScanGradient &gradient);

} // namespace nysjit
