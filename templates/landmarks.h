// Landmarks: what the Nystrom layouts make of the segments of a sequence, as kernels over one row
// of workspace a landmark.
//
// A sequence is a source of n1 positions, seen by all, then a target. Landmarks are the source's
// segments (all, the last may be short), then the target's. `causal` and `segment_causal` are all
// target, `bidirectional` is all source, `prefix_lm` has both.
//
//   segment_summary    one program a segment: qtilde, ktilde, khat, c, and pool, the segment's own
//                      softmax value, unless segments
//                      are whole tiles of the sum B V, which sums pool as it comes by
//   landmark_past      with a split only: partial sums of B V, for block_m landmarks and `split`
//                      positions
//   source_past        B V of block_m landmarks of the source
//   source_inverse     one program a head: A = softmax(tau Qtilde Ktilde^T), its inverse iterated,
//                      U = A+ (B V)
//   landmark_target    block_m target landmarks: what the solve starts from, (1 - D a) pool + D B V
//   landmark_solve     one program a head: U of (I + D L) U = that, block_m landmarks at a time
#pragma once
#include "templates/building_blocks.h"

namespace nysjit {

/// The segments of one sequence, in a kernel.
struct Segments {
  Scalar len;
  Scalar length;
  Scalar sourceLen; // s, n, n1
  Scalar source;
  Scalar count; // landmarks of the source, and all
  bool hasSource = false;
  bool mayBeShort = false; // mayBeShort: the last segment of the target

  Scalar startOf(const Scalar &j) const;
  Scalar endOf(const Scalar &j) const {
    return mayBeShort ? min(startOf(j + 1), length) : startOf(j + 1);
  }
  /// The first position that row j of B may not see.
  Scalar pastEnd(const Scalar &j) const { return hasSource ? max(endOf(j), sourceLen) : endOf(j); }
  Tile pastEnds(const Tile &j) const;
};

/// Rows of one head's landmarks: keys and their logits' c (without one: 0), and values.
struct LandmarkRows {
  View query;
  View key;
  View bias;
  View value;
  View logMass;
  bool hasBias = false;

  /// tau q.k_j + c_j in base 2 for landmarks j0 on.
  Tile logits(Kernel &k, const Tile &query, const Scalar &j0, int block,
              DotPrecision precision) const;
};

class Landmarks {
public:
  enum class Weight { Tangent, Count, Plain }; // Plain: khat = ktilde, c = 0
  struct Options {
    Weight weight = Weight::Plain;
    bool isNystrom = true;   // the target's values by the solve; else the segments' own
    bool keepsShort = false; // a target's last segment may be short
    bool hasTarget = true;
    std::function<Scalar(Kernel &, const Head &)> sourceLen; // null: no source
  };
  Landmarks(Program &program, const Attention &attention, Options options);

  Segments segmentsOf(Kernel &k, const Head &head) const;
  /// What far positions stand for in a query's softmax, and, with plain logits, in a source row's.
  LandmarkRows target(Kernel &k, const Head &head, const Segments &segments) const;
  LandmarkRows source(Kernel &k, const Head &head, const Segments &segments) const;

  /// The kernels, to be written in this order; what a layout has no use for is left out.
  void summarize();
  void solve();

private:
  void chooseBlocks();
  View rowsOf(Kernel &k, const TensorRef &tensor, const Head &head, const Scalar &count) const;
  bool startsAtTarget() const { return poolsInPast && options.sourceLen; }
  Range partOf(const Segments &segments, const Scalar &part) const;
  Scalar partsBelow(const Segments &segments, const Scalar &end) const;
  void addPast(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
               const Scalar &g0, const BlockConfig &blocks, const Range &positions) const;
  void past(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
            const Scalar &g0, const BlockConfig &blocks, const Scalar &end) const;
  void landmarkPast(int readBlock);
  void sourcePast();
  void sourceInverse();
  void landmarkTarget();
  void landmarkSolve();

  Program &program;
  const KernelSpec &spec;
  const Attention &attention;
  const Options options;
  const bool isSolved; // the target's values are, by the stabilized solve
  Scalar capacity;     // landmarks of a sequence, at most
  // [heads, capacity] each, and d where they are vectors. value: pool, then U of the target's.
  // sourcePastValue: B V of the source's landmarks; sourceValue: their U, which is `value` too
  // unless the target's are the segments' own.
  TensorRef query;
  TensorRef meanKey;
  TensorRef key;
  TensorRef bias;
  TensorRef logMass;
  TensorRef value;
  TensorRef sourcePastValue;
  TensorRef sourceValue;
  BlockConfig sourceBlocks;
  BlockConfig targetBlocks;
  BlockConfig pastBlocks; // of source_past, landmark_target and landmark_past
  int split = 0;
  // pool is summed where B V is: each segment begins with a tile and lies in one part
  bool poolsInPast = false;
  PartialSums partial;
};

/// Adds landmarks [0, end) to query rows, each row's those below farCount of it; all rows see the
/// first `forAll`.
void addFar(Kernel &k, OnlineSoftmax &softmax, const LandmarkRows &landmarks, const Tile &query,
            const Tile &farCount, const Scalar &forAll, const Scalar &end, int block);
/// Adds positions nearStart <= t <= i to query rows i; `positions` holds them all, tiles within
/// `inside` are seen by all rows.
void addNear(Kernel &k, OnlineSoftmax &softmax, const Head &head, const Tile &query,
             const Tile &nearStart, const Tile &i, const Range &positions, const Range &inside,
             int block);

/// Writes the kernel source_output: O_i = softmax over the source's landmarks of tau q_i.ktilde_j,
/// times U_j, for rows i < n1, and the convolution.
void writeSourceOutput(Program &program, const Attention &attention, const Landmarks &landmarks,
                       const Convolution &convolution, int ahead);

} // namespace nysjit
