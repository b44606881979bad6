// The backward of learned probes. Row i and block S (formulas of rows: gradients.h), with
//   e_p = dO_i.U_p,  e_S = sum alpha_p e_p,  dl_S = P_iS (e_S - D_i):
//   dl_p = alpha_p (dl_S (1 + 16 (l_p - l_S)) + 16 P_iS (e_p - e_S))      l natural
//   dq_i += tau sum dl_p khat_p
// and of each block and probe, over the rows that see it,
//   dkhat = tau G, G = sum dl_p q_i,   dc = gamma = sum dl_p,   dU = sum P_iS alpha_p dO_i
// Halves have shares of what a block has, and its mass depends on theirs, W = share of the block's:
//   G, dU, gamma += W times the block's,
//   h += W (tau G.(khat - khat_S) + dU.(U - U_S) + gamma (c - ln W - c_S) + h_S)
// where h is the derivative by the logarithm of the half's mass. Positions of a segment, w_t their
// softmax x_t = tau p.k_t:
//   dx_t = w_t (tau G.(k_t - khat) + dU.(v_t - U) - gamma (ln w_t + c) + h)
//   dk_t += tau (w_t G + dx_t p),   dv_t += w_t dU,   dp += tau dx_t k_t
//
//   block_rows         block_rows.cpp          dq through blocks, without tau; of each part of
//                                              rows, sums for the blocks that it sees
//   block_gradient     block_gradient.cpp      G, gamma and dU of each block, sums of the parts',
//                                              and what it has of its block's as a half, from the
//                                              largest blocks down, five levels a kernel
//   position_gradient  position_gradient.cpp   dq, dk and dv; of positions, their sum for dp
//   probe_gradient     position_gradient.cpp   dp
#pragma once
#include "templates/near_gradient.h"
#include "templates/probe_columns.h"

namespace nysjit {

/// Of some probes and a block, of a line of blocks and one probe, or of blocks and all probes of a
/// query head: row b r + p is that of block b and probe p.
struct BlockGradientRows {
  View key;     // G
  View value;   // dU
  View entropy; // gamma
  View mass;    // h
};

class ProbeGradients {
public:
  ProbeGradients(Program &program, const Attention &attention, const Probes &probes,
                 const Gradients &gradients);

  /// The sums that a part of a query head's rows has for blocks [0, slots) of those it sees; see
  /// slotsOfLevels.
  BlockGradientRows partOf(Kernel &k, const Scalar &pair, const Scalar &part) const;
  /// Those of a level.
  Range slotsOf(int level) const;
  /// Of some of a level every other, the first or the second of two, under one of the head's
  /// probes: row w is that of the half of whole firstWhole + w.
  BlockGradientRows halvesOf(Kernel &k, const Scalar &pair, const Scalar &part, const Scalar &probe,
                             const Range &slotsOfLevel, const Scalar &which) const;
  /// The first block of the next level, there or not, of whose halves a part has sums.
  Scalar firstWhole(const Segments &segments, const Scalar &part, int level) const;
  /// A part's slot of block 0 of each level.
  std::vector<Scalar> slotsOfLevels(const Segments &segments, const Scalar &part) const;
  BlockGradientRows rowsOf(Kernel &k, const Scalar &keyPair, const Scalar &blockRow) const;
  /// See Probes::lineOf.
  BlockGradientRows lineOf(Kernel &k, const Scalar &keyPair, const Scalar &probe,
                           const BlockLine &line, const Scalar &count) const;
  /// What a tile of a segment's positions adds to dp, without tau, for the probes of a key head.
  View probesOf(Kernel &k, const Scalar &keyPair, const Scalar &segment, const Scalar &tile) const;

  Program &program;
  const KernelSpec &spec;
  const Attention &attention;
  const Probes &probes;
  const Gradients &gradients;
  const BlockConfig rowBlocks;      // of block_rows
  const BlockConfig positionBlocks; // of position_gradient
  const int split;                  // rows of a part
  const Scalar parts;
  Scalar slots;
  const Scalar tiles;       // of positions of a segment, at most
  const TensorRef farQuery; // [B, Hq, n, d]: dq through blocks, without tau
  // dl_p and the weights of a tile in block_rows: row c r + p is column c's, a column a query row;
  // [cells, 16 r, block_m]
  const TensorRef tileLogits;
  const TensorRef tileWeights;

private:
  std::vector<Scalar> tileShape() const;
  Scalar farEnd(const Segments &segments, const Scalar &position) const;

  std::vector<int> slotStarts; // of each level, and their end (dyadic)
  // [query heads, parts, slots r], and d where they are vectors
  TensorRef partKey;
  TensorRef partValue;
  TensorRef partEntropy;
  // As the blocks themselves: [key heads, blocks, rows], and d where they are vectors
  TensorRef key;
  TensorRef value;
  TensorRef entropy;
  TensorRef mass;
  TensorRef ofTiles; // [key heads, segments tiles, rows, d]
};

/// The kernels' pages.
void writeBlockRows(const ProbeGradients &gradients);
void writeBlockGradients(const ProbeGradients &gradients);
void writePositionGradient(const ProbeGradients &gradients);
void writeProbeGradient(const ProbeGradients &gradients);

/// What the backward program of `causal` with learned probes does after its forward's kernels.
void probeGradient(Program &program, const Attention &attention, const Probes &probes,
                   const SavedRows &saved, const Convolution &convolution);

} // namespace nysjit
