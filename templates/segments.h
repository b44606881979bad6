// Segments: the geometry of a sequence that is seen through landmarks.
//
// A sequence is a source of n1 positions, seen by all, then a target. Landmarks are the source's
// segments (all, the last may be short), then the target's. `causal` and `segment_causal` are all
// target, `bidirectional` is all source, `prefix_lm` has both.
#pragma once
#include "templates/attention.h"

namespace nysjit {

/// The source or the target of a sequence: its positions and its landmarks, in a kernel.
struct SegmentRange {
  Scalar begin; // positions
  Scalar end;
  Scalar first; // landmarks
  Scalar last;  // one past them
  Scalar len;   // s

  /// The landmark of a position's segment, if there is one; the target's rest has none.
  Scalar of(const Scalar &position) const { return first + (position - begin) / len; }
  Tile of(const Tile &positions) const { return (positions - begin) / len + first; }
};

/// The segments of one sequence, in a kernel.
struct Segments {
  Scalar len;       // s
  Scalar length;    // n
  Scalar sourceLen; // n1
  Scalar source;    // landmarks of the source
  Scalar count;     // all landmarks
  bool hasSource = false;
  bool mayBeShort = false; // the last segment of the target

  Scalar startOf(const Scalar &j) const;
  Tile starts(const Tile &j) const;
  Scalar endOf(const Scalar &j) const;
  /// The first position that row j of B may not see.
  Scalar pastEnd(const Scalar &j) const;
  Tile pastEnds(const Tile &j) const;
  /// Positions of segments j.
  Tile lengths(const Tile &j) const;
  /// The target's first landmark, and its first position.
  Scalar firstTarget() const { return hasSource ? source : Scalar(0); }
  Scalar targetStart() const { return hasSource ? sourceLen : Scalar(0); }
  SegmentRange sourceRange() const { return {0, sourceLen, 0, source, len}; }
  SegmentRange targetRange() const { return {targetStart(), length, firstTarget(), count, len}; }
  /// A position counted from the target's start; 0 in the source.
  Scalar inTarget(const Scalar &position) const;
};

/// How a layout cuts sequences into segments.
class Segmentation {
public:
  struct Options {
    bool keepsShort = false; // a target's last segment may be short
    bool hasTarget = true;
    std::function<Scalar(Kernel &, const Head &)> sourceLen; // null: no source
  };
  Segmentation(Program &program, const Attention &attention, Options options);

  Segments of(Kernel &k, const Head &head) const;
  bool hasSource() const { return bool(options.sourceLen); }
  bool hasTarget() const { return options.hasTarget; }
  /// Landmarks of a sequence, at most.
  const Scalar &capacity() const { return most; }

private:
  const KernelSpec &spec;
  Options options;
  Scalar most;
};

} // namespace nysjit
