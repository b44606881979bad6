// Learned probes, in float64: blocks of whole segments seen through tangents at queries that do not
// depend on the sequence.
#pragma once
#include "runtime/reference/landmarks.h"

namespace nysjit::reference {

/// A run of segments [first, end).
struct Block {
  int64_t first;
  int64_t end;
  friend bool operator==(const Block &, const Block &) = default;
};

/// The blocks that stand for segments [0, count), the nearest first: each segment is one, or, with
/// dyadic spacing, they grow with distance.
std::vector<Block> blocksBefore(int64_t count, const KernelSpec &spec);

/// What a query sees of some positions through one probe p: the tangent at p of the logarithm of
/// their mass, l(q) = tau q.khat + c, and their softmax value. `logMass` is ln of their mass at p,
/// which is l(p).
struct ProbeView {
  std::vector<double> khat;
  std::vector<double> value;
  double c = 0;
  double logMass = 0;

  double logit(const double *query, double scale) const {
    return scale * dot(query, khat.data(), static_cast<int64_t>(khat.size())) + c;
  }
};
/// Of positions [begin, end).
ProbeView viewOf(const Head &head, const double *probe, int64_t begin, int64_t end);
/// Of two runs of positions together, from what is known of each.
ProbeView merged(const ProbeView &left, const ProbeView &right);

/// A block as one query sees it: the mean of its views' logits and values under
/// softmax over the probes of 16 l_p(q).
struct SeenBlock {
  double logit = 0;
  std::vector<double> value;
};
SeenBlock seenThrough(const std::vector<ProbeView> &views, const double *query, double scale);

} // namespace nysjit::reference
