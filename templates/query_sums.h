// What queries see: far landmarks and near positions, in one softmax.
#pragma once
#include "templates/landmarks.h"

namespace nysjit {

/// Adds landmarks [0, end) to the softmax of query rows, each row's those that its mask lets it
/// see.
void addFar(Kernel &k, OnlineSoftmax &softmax, const LandmarkRows &landmarks, const Tile &query,
            const Mask &mask, const Scalar &end, int block);

/// Adds the positions in `positions` to the softmax of query rows, each row's those that its mask
/// lets it see.
void addNear(Kernel &k, OnlineSoftmax &softmax, const Head &head, const Tile &query,
             const Mask &mask, const Range &positions, int block);

/// What query rows of `segment_causal` see: landmarks up to their own segment's.
Mask upToOwnSegment(const Segments &segments, const QueryTile &rows);
/// The first landmark that no row of the tile sees.
Scalar upToOwnSegmentEnd(const Segments &segments, const QueryTile &rows);

/// What query rows of a causal target see: near positions one by one, from the segment `window`
/// before their own on; the segments before that one, and a source's, from afar.
class NearAndFar {
public:
  NearAndFar(const KernelSpec &spec, const Segments &segments, const QueryTile &rows);

  /// Landmarks that the row at a position sees from afar: j < seg(i) - window. 0 where the tile is
  /// not used.
  Scalar farEnd(const Scalar &position) const;
  /// Of what there is one a segment.
  Mask far() const;
  /// Near positions, in tiles of so many.
  Mask near(int block) const;
  Range positions() const;
  /// Adds all that the rows see to their softmax.
  void addTo(Kernel &k, OnlineSoftmax &softmax, const Head &head, const LandmarkRows &landmarks,
             int block) const;

private:
  Scalar nearBegin(const Scalar &position) const;
  Scalar farSegments(const Scalar &position) const;

  const KernelSpec &spec;
  const SegmentRange target;
  const QueryTile &rows;
  Tile farEnds; // of each row, counted from the target's first
};

} // namespace nysjit
