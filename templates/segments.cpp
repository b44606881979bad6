// Where segments begin and end.
#include "templates/segments.h"

#include "runtime/spec/lengths.h"

namespace nysjit {

Scalar Segments::startOf(const Scalar &j) const {
  if (!hasSource)
    return j * len;
  return min(min(j, source) * len, sourceLen) + max(j - source, 0) * len;
}

Scalar Segments::endOf(const Scalar &j) const {
  return mayBeShort ? min(startOf(j + 1), length) : startOf(j + 1);
}

Scalar Segments::pastEnd(const Scalar &j) const {
  return hasSource ? max(endOf(j), sourceLen) : endOf(j);
}

Tile Segments::starts(const Tile &j) const {
  if (!hasSource)
    return j * len;
  return min(min(j, source) * len, sourceLen) + max(j - source, 0) * len;
}

Tile Segments::pastEnds(const Tile &j) const {
  const Tile next = starts(j + 1);
  const Tile end = hasSource ? max(next, sourceLen) : next;
  return mayBeShort ? min(end, length) : end;
}

Tile Segments::lengths(const Tile &j) const {
  const Tile start = starts(j);
  if (!hasSource && !mayBeShort)
    return start * 0 + len;
  const Tile end = starts(j + 1);
  return (mayBeShort ? min(end, length) : end) - start;
}

Scalar Segments::inTarget(const Scalar &position) const {
  return hasSource ? max(position - sourceLen, 0) : position;
}

Segmentation::Segmentation(Program &program, const Attention &attention, Options o)
    : spec(program.spec()), options(std::move(o)) {
  const Scalar longest = attention.maxLength;
  const bool countsShort = options.keepsShort || hasSource();
  auto segmentsIn = [&](const Scalar &n, const Scalar &s) {
    return countsShort ? ceilDiv(n, s) : n / s;
  };
  if (const std::optional<int64_t> limit = maximumLength(spec)) {
    program.require(longest <= *limit, "q", expectedLength(*limit), "{max_length}");
    most = segmentsIn(longest, *spec.segmentLen);
    return;
  }
  const Scalar even = segmentsIn(longest, max(ceilDiv(longest, spec.landmarks), 1));
  most = select(attention.isVariable(), min(longest, spec.landmarks), even);
}

Segments Segmentation::of(Kernel &k, const Head &head) const {
  Segments s;
  s.length = head.length;
  // Without segment_len, s = ceil(n / landmarks) of the sequence at hand.
  s.len = spec.segmentLen ? Scalar(*spec.segmentLen) : max(ceilDiv(s.length, spec.landmarks), 1);
  s.hasSource = hasSource();
  s.mayBeShort = options.keepsShort;
  if (s.hasSource) {
    s.sourceLen = options.sourceLen(k, head);
    s.source = ceilDiv(s.sourceLen, s.len);
  }
  s.count = s.source;
  const Scalar targetLen = s.length - s.sourceLen;
  if (options.hasTarget)
    s.count = s.source + (options.keepsShort ? ceilDiv(targetLen, s.len) : targetLen / s.len);
  return s;
}

} // namespace nysjit
