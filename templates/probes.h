// Learned probes: blocks of segments seen through tangents at r queries a head that do not depend
// on the sequence. Of each block and probe p, over the block's positions, with w = softmax of
// tau p.k_t:
//   khat = sum w k,   c = -sum w ln w,   U = sum w v;   l_p(q) = tau q.khat + c
// and, for blocks of two halves, the largest x = tau p.k_t and sum e^{x - max x}. Each kernel has a
// page of its own:
//
//   probe_summary   probe_summary.cpp   of each segment
//   probe_merge     probe_merge.cpp     of blocks of two halves, from the halves (dyadic)
//   causal_output   causal_probes.cpp   one softmax over far blocks and near positions
#pragma once
#include "templates/query_sums.h"

#include <vector>

namespace nysjit {

/// What is known of one block through some probes, a row each; logarithms are base 2.
struct ProbeSums {
  Tile maximum; // of x
  Tile mass;    // sum 2^(x - maximum)
  Tile entropy; // c
  Tile key;     // khat [rows, d]
  Tile value;   // U
};

/// A block's memory, a row for each probe of a key head; or that of a line of blocks under one
/// probe, a row for each block.
struct ProbeRows {
  View maximum;
  View mass;
  View entropy;
  View key;
  View value;
};

/// The blocks' memory as the probes of one query head see it, block by block: probe p of block j is
/// row j * step + start + p. One view for all, as each takes registers through a loop.
struct ProbeViews {
  View key;
  View value;
  View entropy; // a number a row
  Scalar start;
  Scalar step;
};

/// Blocks of `size` segments: number `first`, and each `step`th after it.
struct BlockLine {
  Scalar size = 1;
  Scalar first = 0;
  int step = 1;

  static BlockLine all(const Scalar &size) { return {size, 0, 1}; }
  static BlockLine halves(const Scalar &size, const Scalar &which) { return {size, which, 2}; }
};

/// The memory of blocks, and their kernels.
///
/// Block b of level l is segments [b 2^l, (b + 1) 2^l); it is row (2 b + 1) 2^l - 1, in the order
/// of a walk through the tree of blocks: the rows of n segments are the first 2 n - 1, whatever n
/// is. With uniform spacing there is level 0 only, and segment j is row j.
class Probes {
public:
  Probes(Program &program, const Attention &attention);

  bool isDyadic() const { return spec.landmarkSpacing == LandmarkSpacing::Dyadic; }
  /// The largest level a block that is seen can have.
  int topLevel() const;
  /// Of so many segments before the near ones, the blocks of a level that are left when the levels
  /// before have taken theirs.
  Scalar blocksLeft(const Scalar &segments, int level) const;
  /// Of a block of `size` segments.
  Scalar rowOf(const Scalar &size, const Scalar &block) const;
  /// (sequence, key head) pairs.
  Scalar keyHeads() const { return attention.batch * attention.keyHeads; }

  ProbeRows rowsOf(Kernel &k, const Scalar &keyPair, const Scalar &blockRow) const;
  /// The first `count` blocks of a line under one probe of a key head.
  ProbeRows lineOf(Kernel &k, const Scalar &keyPair, const Scalar &probe, const BlockLine &line,
                   const Scalar &count) const;
  /// The same of any memory of this shape: [key heads, blocks, rows], and d.
  View along(Kernel &k, TensorRef tensor, const Scalar &keyPair, const Scalar &probe,
             const BlockLine &line, const Scalar &count) const;
  void store(Kernel &k, const ProbeSums &sums, const Scalar &keyPair, const Scalar &blockRow,
             const Scalar &row0) const;
  /// Of the first `count` blocks.
  ProbeViews views(Kernel &k, const Head &head, const Scalar &count) const;

  /// Rows [row0, row0 + count) of the probes of a key head, 0 where there is none; `firstHead`: its
  /// group's first query head.
  Tile queries(Kernel &k, const Scalar &firstHead, const Scalar &row0, int count) const;
  /// Calls `body` for each query head of a group, counted from the first, that has probes there.
  void forHeads(Kernel &k, const Scalar &row0, int count, const Carry &carry,
                const std::function<void(const Scalar &)> &body) const;

  void writeKernels() const;

  Program &program;
  const KernelSpec &spec;
  const Attention &attention;
  const Segmentation segmentation;
  const TensorRef probes; // [Hq, r, d]
  const Scalar group;     // query heads of a key head
  const Scalar rows;      // probes of a key head: those of the group's first query head come first
  const Scalar blocks;    // rows of blocks

private:
  // [key heads, blocks, rows], and d where they are vectors
  TensorRef key;
  TensorRef value;
  TensorRef maximum;
  TensorRef mass;
  TensorRef entropy;
};

/// The kernels' pages.
void writeProbeSummary(const Probes &probes);
void writeProbeMerges(const Probes &probes);

/// The layout `causal` with landmark_source learned.
void causalOfProbes(Program &program);

} // namespace nysjit
