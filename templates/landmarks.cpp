// The memory of landmarks, and the order of their kernels.
#include "templates/landmarks.h"

namespace nysjit {

Landmarks::Landmarks(Program &p, const Attention &a, Options o)
    : program(p), spec(p.spec()), attention(a), options(std::move(o)),
      segmentation(p, a, options.segments), isSolved(segmentation.hasTarget() && options.isNystrom),
      isKept(spec.pass != Pass::Forward) {
  allocate();
  if (isSolved || segmentation.hasSource())
    past = PastSums(*this);
}

void Landmarks::allocate() {
  const Scalar &capacity = segmentation.capacity();
  auto vectors = [&](const char *name) {
    return program.savedBuffer(name, {attention.heads(), capacity, spec.headDim});
  };
  auto numbers = [&](const char *name) {
    return program.savedBuffer(name, {attention.heads(), capacity});
  };
  const bool hasSource = segmentation.hasSource();
  key = vectors("landmark_key");
  value = vectors("landmark_value");
  pool = isKept && isSolved ? vectors("landmark_pool") : value;
  if (options.weight != Weight::Plain)
    count = numbers("landmark_count");
  if (isSolved || hasSource || isKept)
    query = vectors("landmark_query");
  if (isSolved) {
    rowMaximum = numbers("landmark_row_maximum");
    rowMass = numbers("landmark_row_mass");
  }
  if (isKept && segmentation.hasTarget()) {
    ownMaximum = numbers("segment_maximum");
    ownShare = numbers("segment_share");
  }
  if (isKept && (isSolved || hasSource)) {
    pastMaximum = numbers("past_maximum");
    pastShare = numbers("past_share");
  }
  if (!hasSource)
    return;
  meanKey = options.weight == Weight::Tangent ? vectors("landmark_mean_key") : key;
  sourcePastValue = vectors("source_past_value");
  sourceValue = options.isNystrom ? value : vectors("source_value");
}

View Landmarks::rowsOf(Kernel &k, const TensorRef &tensor, const Head &head,
                       const Scalar &count) const {
  return k.slice(k.view(tensor, {head.pair}), 0, count);
}

LandmarkRows Landmarks::target(Kernel &k, const Head &head, const Segments &segments) const {
  auto rows = [&](const TensorRef &tensor) {
    return tensor.name.empty() ? View() : rowsOf(k, tensor, head, segments.count);
  };
  LandmarkRows landmarks;
  landmarks.query = rows(query);
  landmarks.key = rows(key);
  landmarks.count = rows(count);
  landmarks.value = rows(value);
  landmarks.pool = isKept && isSolved ? rows(pool) : landmarks.value;
  landmarks.rowMaximum = rows(rowMaximum);
  landmarks.rowMass = rows(rowMass);
  landmarks.hasCounts = options.weight != Weight::Plain;
  return landmarks;
}

LandmarkRows Landmarks::source(Kernel &k, const Head &head, const Segments &segments) const {
  LandmarkRows landmarks;
  landmarks.query = rowsOf(k, query, head, segments.source);
  landmarks.key = rowsOf(k, meanKey, head, segments.source);
  landmarks.value = rowsOf(k, sourceValue, head, segments.source);
  return landmarks;
}

Tile LandmarkRows::logits(Kernel &k, const Tile &of, const Scalar &j0, int block,
                          const DotOptions &options) const {
  return dot(of, transposed(k.load(key, j0, block)), options) * logitScale(k);
}

std::optional<Tile> LandmarkRows::counts(Kernel &k, const Scalar &j0, int block) const {
  return hasCounts ? std::optional(k.load(count, j0, block)) : std::nullopt;
}

void Landmarks::writeKernels() {
  writeSegmentSummary(*this);
  past.writeParts();
  if (segmentation.hasSource()) {
    writeSourcePast(*this);
    writeSourceInverse(*this);
  }
  if (isSolved) {
    writeLandmarkTarget(*this);
    writeLandmarkSolve(*this);
  }
}

} // namespace nysjit
