// Landmarks: what the Nystrom layouts make of the segments of a sequence, one row of workspace a
// landmark. Each kernel that fills them has a page of its own:
//
//   segment_summary    segment_summary.cpp   qtilde, ktilde, khat, c, and pool, the segment's own
//                                            softmax value, unless the sum B V makes it in passing
//   landmark_past      past_sums.cpp         with a split only: partial sums of B V
//   source_past        source_landmarks.cpp  B V of the source's landmarks
//   source_inverse     source_landmarks.cpp  A = softmax(tau Qtilde Ktilde^T), its inverse iterated
//                                            (inverse.h), U = A+ (B V)
//   landmark_target    landmark_solve.cpp    what the solve starts from, pool + D (B V - a pool)
//   landmark_solve     landmark_solve.cpp    U of (I + D L) U = that, block_m landmarks at a time
//
// and queries see them by query_sums.h.
#pragma once
#include "templates/past_sums.h"

namespace nysjit {

/// Rows of one head's landmarks: keys, e^c of their logits (without: 1), and values. A weight
/// e^{tau q.k_j + c_j} is made of e^{c_j} and tau q.k_j less the row's maximum: added to a large
/// tau q.k_j, c_j would be lost.
struct LandmarkRows {
  View query;
  View key;
  View count; // e^{c_j}: how many positions j stands for
  View value;
  View pool;
  View rowMaximum; // of A's rows
  View rowMass;
  bool hasCounts = false;

  /// tau q.k_j in base 2 for landmarks j0 on.
  Tile logits(Kernel &k, const Tile &query, const Scalar &j0, int block,
              const DotOptions &options) const;
  std::optional<Tile> counts(Kernel &k, const Scalar &j0, int block) const;
};

struct SavedRows;

class Landmarks {
public:
  enum class Weight { Tangent, Count, Plain }; // Plain: khat = ktilde, c = 0
  struct Options {
    Weight weight = Weight::Plain;
    bool isNystrom = true; // the target's values by the solve; else the segments' own
    Segmentation::Options segments;
  };
  Landmarks(Program &program, const Attention &attention, Options options);

  /// What far positions stand for in a query's softmax, and, with plain logits, in a source row's.
  LandmarkRows target(Kernel &k, const Head &head, const Segments &segments) const;
  LandmarkRows source(Kernel &k, const Head &head, const Segments &segments) const;
  /// Rows of a landmark tensor that a head's landmarks have.
  View rowsOf(Kernel &k, const TensorRef &tensor, const Head &head, const Scalar &count) const;

  /// Writes the kernels in their order; what a layout has no use for is left out.
  void writeKernels();

  Program &program;
  const KernelSpec &spec;
  const Attention &attention;
  const Options options;
  const Segmentation segmentation;
  const bool isSolved; // the target's values are, by the stabilized solve
  const bool isKept;   // for a backward
  /// Whether a short sequence has far fewer than the spec allows.
  bool mayBeFew() const { return spec.segmentLen.has_value(); }
  // Memory of all landmarks, [heads, capacity] each, and d where they are vectors; without a name
  // where the layout has no use for it.
  TensorRef query;
  TensorRef meanKey; // ktilde, where the key is khat
  TensorRef key;
  TensorRef count;
  TensorRef rowMaximum; // of A's rows
  TensorRef rowMass;
  TensorRef pool;            // the segments' own values
  TensorRef value;           // U of the target's; without a solve, or where nothing is kept, pool
  TensorRef sourcePastValue; // B V of the source's landmarks
  TensorRef sourceValue;     // their U: `value`, too, unless the target's are the segments' own
  // Kept for the backward alone: the maximum and 1 / mass of each segment's own softmax where there
  // is a target, and of each row of B.
  TensorRef ownMaximum;
  TensorRef ownShare;
  TensorRef pastMaximum;
  TensorRef pastShare;
  PastSums past;

private:
  void allocate();
};

/// The kernels' pages.
void writeSegmentSummary(const Landmarks &landmarks);
void writeSourcePast(const Landmarks &landmarks);
void writeSourceInverse(const Landmarks &landmarks);
void writeLandmarkTarget(const Landmarks &landmarks);
void writeLandmarkSolve(const Landmarks &landmarks);

/// Writes the kernel source_output: O_i = softmax over the source's landmarks of tau q_i.ktilde_j,
/// times U_j, for rows i < n1, and the convolution; of a backward program, what it would keep.
void writeSourceOutput(const Landmarks &landmarks, const SavedRows &saved,
                       const Convolution &convolution, int ahead);

} // namespace nysjit
