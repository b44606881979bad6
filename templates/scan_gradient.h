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
// Kernels, beside those that write the states before each part where there is a split:
//   landmark_means     first_k only
//   scan_inverse       A+
//   scan_rows          a cell for each part of a query head: dq, the state before each chunk, each
//                      chunk's share of S and h, partial dktilde and d(A+)          scan_rows.cpp
//   scan_suffixes      block_m landmarks of a head: S and h after each chunk        scan_rows.cpp
//   scan_columns       a cell for each part of a key head, its blocks from the last on: dk, dv,
//                      partial dqtilde                                          scan_columns.cpp
//   scan_partial_sums  a cell for each A+: the partial sums, in the order of sequences and parts
//   scan_inverse_gradient  the same: through A+
//   landmark_gradient  learned: a landmark of all heads
//   first_output, output_delta, position_gradient  first_k only: exact causal attention of the
//                      first rows, and through their means                  scan_first_gradient.cpp
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
  const BlockConfig columnBlocks; // of scan_columns
  const int chunkLength;
  PartialSums chunkStates;
  TensorRef unit;         // [heads, chunks, m]
  TensorRef sum;          // [heads, chunks, m, d]
  TensorRef mean;         // [heads, chunks, m]
  TensorRef inverseParts; // of d(A+)^T, [heads, parts, m, columns]; tau's factors are without it
  TensorRef queryParts;   // of dqtilde, [heads, parts, m, d]
  TensorRef keyParts;     // of dktilde
  TensorRef inverseSums;  // [A+'s, m, columns]
  TensorRef querySums;    // [A+'s, m, d]
  TensorRef keySums;
  TensorRef dWeights; // dP and dF of a tile of rows, [heads, parts, block_m, columns], or nameless
  TensorRef dShares;
  TensorRef firstKey; // dk and dv of first_k's rows, [B * Hkv, k0, d]
  TensorRef firstValue;

  ScanGradient(const Scan &scan, const InverseWorkspace &inverse, const Gradients &gradients,
               const BlockConfig &columnBlocks);

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
  /// dO of the rows that landmarks serve, at the numbers that positions have less k0.
  View served(Kernel &k, const TensorRef &tensor, const Head &head, const Scalar &end) const;
};

/// The kernels' pages.
void writeScanRows(const ScanGradient &gradient);
void writeScanSuffixes(const ScanGradient &gradient);
void writeScanColumns(const ScanGradient &gradient);
void writeFirstGradient(const ScanGradient &gradient);

} // namespace nysjit
