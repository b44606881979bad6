// Sums over a landmark's past: rows of B V with B = softmax(tau Qtilde K^T), each over the
// positions up to its segment's end. With a split, each cell of landmark_past sums `split`
// positions, and who needs a row merges its parts in their order.
#pragma once
#include "templates/segments.h"

namespace nysjit {

class Landmarks;

class PastSums {
public:
  PastSums() = default;
  /// Chooses block sizes; sums may be read by the kernels source_past and landmark_target.
  explicit PastSums(const Landmarks &landmarks);

  const BlockConfig &sourceBlocks() const { return source; }
  const BlockConfig &targetBlocks() const { return target; }
  /// The sums make a segment's own softmax value in passing: where each segment begins with a tile
  /// and lies in one part.
  bool makesPools() const { return poolsInPassing; }
  /// Writes landmark_past, if there is a split.
  void writeParts();
  /// Adds the positions below `end` to the sums of landmarks g0 on.
  void add(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
           const Scalar &g0, const BlockConfig &blocks, const Scalar &end) const;

private:
  struct Rows; // of landmarks being summed
  bool startsAtTarget() const;
  Range partOf(const Segments &segments, const Scalar &part) const;
  Scalar partsBelow(const Segments &segments, const Scalar &end) const;
  void addPositions(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
                    const Scalar &g0, const BlockConfig &blocks, const Range &positions) const;
  void beginSegments(Kernel &k, const Rows &rows, OnlineSoftmax &sums, OnlineSoftmax &before,
                     const Scalar &t0) const;
  void keepPools(Kernel &k, const Rows &rows, OnlineSoftmax &sums, OnlineSoftmax &before,
                 const Range &positions) const;

  const Landmarks *landmarks = nullptr;
  BlockConfig source;
  BlockConfig target;
  BlockConfig parts; // of landmark_past
  int split = 0;
  bool poolsInPassing = false;
  PartialSums partial;
};

} // namespace nysjit
