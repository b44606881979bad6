// Gradients through landmarks: what the kernels of a backward program make of the segments of a
// sequence, one row of workspace a landmark, in the order in which they run:
//
//   far_gradient         of rows that see landmarks: G = sum of dX q, so that dkhat = tau G,
//                        dc = sum of dX, dU = sum of P dO
//   source_far_gradient  the same of a source's rows: dktilde / tau, dU_1
//   solve_gradient       Y = (I + D L)^-T dU, kappa = a / (a^2 + lambda); dU_1
//   weight_rows          through A and D(a), by rows: dpool, dqtilde
//   weight_columns       the same by columns: adds to G and dc
//   inverse_gradient     through U_1 = A+ (B V): dBV, dqtilde; adds to dktilde
//   segment_gradient     adds to dqtilde through a segment's own softmax
//   past_gradient        adds to dqtilde through B
//
// The kernels position_gradient, source_position_gradient and target_position_gradient take them to
// the positions. Where values are the segments' own (streaming), dpool is dU, and of the target
// there are the first and segment_gradient alone. All that multiplies tau is kept without it.
#pragma once
#include "templates/landmarks.h"
#include "templates/near_gradient.h"

namespace nysjit {

/// Rows of one head's landmarks in a backward program.
struct LandmarkGradientRows {
  View key;   // G
  View bias;  // dc
  View value; // dU, then Y
  View query; // dqtilde
  View pool;  // p = dpool; of the target's alone, if they are solved
  View kappa;
  View diagonal; // a
  View rowMean;  // D^A
  View pastMean; // D^B
  View ownMean;  // what the derivatives of the segment's own softmax are relative to
  // Of the source's.
  View meanKey;     // dktilde; G's rows where the keys are ktilde
  View sourceValue; // dU_1
  // Of those that have B: dBV / kappa, which is Y of the target's.
  View past;
};

/// A head and its target's landmarks in a kernel whose cells are those.
struct LandmarksOfHead {
  Head head;
  Segments segments;
  LandmarkRows rows;
  LandmarkGradientRows gradients;
};

/// Which rows: a source's, or the target's.
enum class RowPart { Source, Target };

/// The name of a kernel of one of the parts that a sequence may have.
std::string kernelOf(RowPart part, const Segmentation &segmentation, const char *name);

class LandmarkGradients {
public:
  /// `lead`: rows of segment g see landmarks j <= g - lead from afar. `isFused`: each weight is
  /// computed once (config key fused).
  LandmarkGradients(const Landmarks &landmarks, const Gradients &gradients, int lead, bool isFused);

  LandmarkGradientRows rowsOf(Kernel &k, const Head &head, const Segments &segments) const;
  LandmarksOfHead headOf(Kernel &k, const Scalar &pair) const;
  /// Writes the kernels in their order.
  void writeKernels();
  /// Rows see positions one by one, too.
  bool hasNear() const { return lead > 0; }
  bool isTangent() const { return landmarks.options.weight == Landmarks::Weight::Tangent; }
  /// Some landmarks have B, the first ones; positions of a part are in its rows.
  bool hasPast() const { return isSolved || landmarks.segmentation.hasSource(); }
  /// Tiles of so many positions, counted from the target's first, have one segment each.
  bool isOneSegment(int positions) const {
    return spec.segmentLen && *spec.segmentLen % positions == 0;
  }
  bool hasPast(RowPart part) const { return isSolved || part == RowPart::Source; }
  Scalar pastCount(const Segments &segments) const {
    return isSolved ? segments.count : segments.source;
  }

  const Landmarks &landmarks;
  const Gradients &gradients;
  const int lead;
  Program &program;
  const KernelSpec &spec;
  const bool isSolved;
  const bool isFused;
  TensorRef key;
  TensorRef bias;
  TensorRef value;
  TensorRef query;
  TensorRef pool;
  TensorRef kappa;
  TensorRef diagonal;
  TensorRef rowMean;
  TensorRef pastMean;
  TensorRef ownMean;
  TensorRef meanKey;
  TensorRef sourceValue;
  TensorRef past;

  TensorRef vectors(const char *name) const;
  TensorRef numbers(const char *name) const;
};

/// A_gj of logits x: of rows g of A along one side of a tile, landmarks j across. At most 1, as in
/// the solve.
struct LandmarkWeights {
  Tile maximum; // of A's rows
  Tile mass;
  std::optional<Tile> counts; // of the landmarks
  bool areRows = true;        // rows of A are the tile's rows

  static LandmarkWeights ofRows(Kernel &k, const LandmarkRows &landmarks, const Scalar &g0,
                                int count, const std::optional<Tile> &counts) {
    return {k.load(landmarks.rowMaximum, g0, count), k.load(landmarks.rowMass, g0, count), counts,
            true};
  }
  static LandmarkWeights ofColumns(Kernel &k, const LandmarkRows &landmarks, const Scalar &g0,
                                   int count, const std::optional<Tile> &counts) {
    LandmarkWeights weights = ofRows(k, landmarks, g0, count, counts);
    weights.areRows = false;
    return weights;
  }
  Tile along(const Tile &x) const { return areRows ? rows(x) : cols(x); }
  Tile across(const Tile &x) const { return areRows ? cols(x) : rows(x); }
  Tile of(const Tile &x) const;
};

/// The kernels' pages.
void writeFarGradient(const LandmarkGradients &gradients, RowPart rows);
void writeSolveGradient(const LandmarkGradients &gradients);
void writeWeightGradient(const LandmarkGradients &gradients);
void writeInverseGradient(const LandmarkGradients &gradients);
void writeSegmentGradient(const LandmarkGradients &gradients);
void writePastGradient(const LandmarkGradients &gradients);
/// A kernel that adds `parts` of a head's positions, [heads, parts, capacity, d], to dqtilde; a
/// sequence has `countOf` them.
void writePastSum(const LandmarkGradients &gradients, const std::string &kernel,
                  const TensorRef &parts, const std::function<Scalar(const Segments &)> &countOf);

/// Where one head's sums over rows that see landmarks go.
struct FarViews {
  View key;   // G
  View value; // dU
  View bias;  // dc; a source's rows have none
};
/// Sums in memory that take what tiles of rows have for landmarks.
struct LandmarkSums {
  FarViews views;
  std::function<Mask(const Tile &j)> rowsOf; // which rows see landmarks j: the mask by columns
};
/// Adds sum over j of dX_ij khat_j to `dq` over landmarks [0, end), each row's those that its mask
/// lets it see. With `fused`, adds to those sums what the rows have for them.
void addFarQueryGradient(Kernel &k, Tile &dq, const LandmarkRows &landmarks,
                         const GradientRows &rows, const QueryTile &queries, const Mask &mask,
                         const Scalar &end, int block, const LandmarkSums *fused = nullptr);
/// A sequence's segments, and which of its parts a tile of positions is in.
struct SegmentsOfTile {
  Segments segments;
  RowPart part;

  bool isSource() const { return part == RowPart::Source; }
  SegmentRange range() const {
    return isSource() ? segments.sourceRange() : segments.targetRange();
  }
};
/// What the tile's own segments' means and softmax make of it.
Tile addMeanQueryGradient(Kernel &k, const Tile &dq, const LandmarkGradientRows &of,
                          const SegmentsOfTile &segments, const QueryTile &queries);
void addOwnKeyGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &gradients,
                       const Head &head, const SegmentsOfTile &segments, const Scalar &t0);
/// What rows of B make of the tile. With `querySums`, adds to those what the positions have for
/// dqtilde.
void addPastKeyGradient(Kernel &k, KeyGradient &sums, const LandmarkGradients &gradients,
                        const Head &head, const SegmentsOfTile &segments, const Scalar &t0,
                        int block, const View *querySums = nullptr);
/// Rows that see a position of the tile from t0 on as a near one: i >= t up to the last whose
/// window has t's segment.
struct NearRows {
  Mask mask;
  Range range;

  NearRows(Kernel &k, const KernelSpec &spec, const SegmentRange &target, const Scalar &t0,
           int count);
};
/// Positions that a cell of fused kernels walks where the config says nothing else.
constexpr int fusedSplit = 4096;
/// Writes a kernel that takes the gradients of rows and landmarks to the positions of a part.
void writePositionGradient(const LandmarkGradients &gradients, RowPart part);
/// The part whose kernel's config says whether all are fused, and the `split` of all.
inline RowPart leadingPart(const Segmentation &segmentation) {
  return segmentation.hasTarget() ? RowPart::Target : RowPart::Source;
}
/// Blocks of that kernel where each weight is computed once (fused_gradient.cpp); none if that is
/// not asked for.
std::optional<BlockConfig> fusedPositionBlocks(Program &program, const Segmentation &segmentation);
void writeFusedPositionGradients(const LandmarkGradients &gradients, const BlockConfig &blocks);

} // namespace nysjit
