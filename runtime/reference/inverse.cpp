// bidirectional, prefix_lm and scan, the layouts with an iterated inverse, in float64.
#include "runtime/reference/layouts.h"

#include <algorithm>

namespace nysjit::reference {

namespace {
/// U = A+ (B V) of the positions of `head`, with A = softmax(tau Qtilde Ktilde^T) and B =
/// softmax(tau Qtilde K^T).
Matrix inverseValues(const Head &head, const KernelSpec &spec, int64_t segmentLen) {
  const int64_t m = (head.length() + segmentLen - 1) / segmentLen;
  const Matrix qtilde = segmentMeans(head.q, segmentLen, m);
  const Matrix ktilde = segmentMeans(head.k, segmentLen, m);
  const Matrix a = softmaxScores(qtilde, ktilde, head.scale);
  const Matrix b = softmaxScores(qtilde, head.k, head.scale);
  return multiply(newtonSchulz(a, spec.inverseIterations), multiply(b, head.v));
}
} // namespace

Matrix bidirectional(const LayoutInput &input) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  const int64_t segmentLen = input.segmentLen;
  const int64_t m = (head.length() + segmentLen - 1) / segmentLen;
  const Matrix f = softmaxScores(head.q, segmentMeans(head.k, segmentLen, m), head.scale);
  return multiply(f, inverseValues(head, spec, segmentLen)); // F A+ (B V)
}

namespace {
/// The landmarks of the source and those of the target, one after the other.
struct PrefixLandmarks {
  const Head &head;
  Landmarks before;
  Landmarks target;

  double logit(const double *query, int64_t j) const {
    const bool isBefore = j < before.count();
    const Landmarks &set = isBefore ? before : target;
    const int64_t index = isBefore ? j : j - before.count();
    return head.scale * dot(query, set.khat.row(index), head.q.columns) +
           set.c[static_cast<size_t>(index)];
  }
};

/// U: the source's U_1 = A+ (B V), then the target's by the stabilized solve with the source's part
/// known.
Matrix prefixValues(const PrefixLandmarks &landmarks, const Head &source,
                    const LayoutInput &input) {
  const auto &[head, before, target] = landmarks;
  const int64_t d = head.q.columns;
  const int64_t m1 = before.count();
  const int64_t m2 = target.count();
  const bool isStreaming = input.spec.landmarkValue == LandmarkValue::Streaming;
  Matrix u(m1 + m2, d);
  if (m1 > 0) {
    const Matrix values =
        isStreaming ? before.pool : inverseValues(source, input.spec, input.segmentLen);
    std::copy(values.values.begin(), values.values.end(), u.values.begin());
  }
  for (int64_t g = 0; g < m2; ++g) {
    std::vector<double> a;
    std::vector<double> row(target.pool.row(g), target.pool.row(g) + d);
    for (int64_t j = 0; j <= m1 + g; ++j)
      a.push_back(landmarks.logit(target.qtilde.row(g), j));
    softmax(a);
    if (!isStreaming)
      row = solveRow(a, u, attend(head, target.qtilde.row(g), target.end[static_cast<size_t>(g)]),
                     target.pool.row(g), input.spec.stabilizer);
    std::copy(row.begin(), row.end(), u.row(m1 + g));
  }
  return u;
}
} // namespace

Matrix prefixLm(const LayoutInput &input) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  const int64_t segmentLen = input.segmentLen;
  const int64_t sourceLen = input.sourceLen;
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  const Head source{head.q.slice(0, sourceLen), head.k.slice(0, sourceLen),
                    head.v.slice(0, sourceLen), head.scale};
  Matrix out(n, d);
  // Source rows: bidirectional over the source alone.
  if (sourceLen > 0) {
    const Matrix rows = bidirectional({source, spec, segmentLen});
    std::copy(rows.values.begin(), rows.values.end(), out.values.begin());
  }
  const PrefixLandmarks landmarks{
      head, makeLandmarks(head, 0, sourceLen, segmentLen, /*keepShort=*/true, spec.landmarkWeight),
      makeLandmarks(head, sourceLen, n, segmentLen, /*keepShort=*/false, spec.landmarkWeight)};
  const int64_t m1 = landmarks.before.count();
  const Matrix u = prefixValues(landmarks, source, input);
  // Target rows: own segment up to i exactly, all source landmarks and those of earlier target
  // segments.
  for (int64_t i = sourceLen; i < n; ++i) {
    const int64_t segment = (i - sourceLen) / segmentLen;
    const int64_t nearStart = sourceLen + segment * segmentLen;
    const int64_t far = m1 + segment;
    std::vector<double> row;
    for (int64_t j = 0; j < far; ++j)
      row.push_back(landmarks.logit(head.q.row(i), j));
    for (int64_t t = nearStart; t <= i; ++t)
      row.push_back(head.scale * dot(head.q.row(i), head.k.row(t), d));
    softmax(row);
    for (int64_t e = 0; e < d; ++e) {
      for (int64_t j = 0; j < far; ++j)
        out(i, e) += row[static_cast<size_t>(j)] * u(j, e);
      for (int64_t t = nearStart; t <= i; ++t)
        out(i, e) += row[static_cast<size_t>(far + t - nearStart)] * head.v(t, e);
    }
  }
  return out;
}

Matrix scan(const LayoutInput &input) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  const Matrix &learnedQ = input.learnedQ;
  const Matrix &learnedK = input.learnedK;
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  const int64_t m = spec.landmarks;
  const bool isFirstK = spec.landmarkSource == LandmarkSource::FirstK;
  const int64_t exactEnd = isFirstK ? std::min<int64_t>(spec.firstK, n) : 0;
  Matrix out(n, d);
  for (int64_t i = 0; i < exactEnd; ++i) {
    const std::vector<double> row = attend(head, head.q.row(i), i + 1);
    std::copy(row.begin(), row.end(), out.row(i));
  }
  if (exactEnd == n)
    return out;
  const int64_t segmentLen = isFirstK ? spec.firstK / m : 0;
  const Matrix qtilde =
      isFirstK ? segmentMeans(head.q.slice(0, spec.firstK), segmentLen, m) : learnedQ;
  const Matrix ktilde =
      isFirstK ? segmentMeans(head.k.slice(0, spec.firstK), segmentLen, m) : learnedK;
  const Matrix inverse =
      newtonSchulz(softmaxScores(qtilde, ktilde, head.scale), spec.inverseIterations);
  // P = softmax(tau Q Ktilde^T) A+
  const Matrix p = multiply(softmaxScores(head.q, ktilde, head.scale), inverse);
  // Per landmark: sum over t <= i of e^{x - maximum} v_t and of e^{x - maximum}, x = tau
  // qtilde_j.k_t
  std::vector<double> maximum(static_cast<size_t>(m), -std::numeric_limits<double>::infinity());
  std::vector<double> mass(static_cast<size_t>(m), 0.0);
  Matrix sum(m, d);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < m; ++j) {
      const size_t index = static_cast<size_t>(j);
      const double x = head.scale * dot(qtilde.row(j), head.k.row(i), d);
      const double next = std::max(maximum[index], x);
      const double shrink = std::exp(maximum[index] - next);
      const double weight = std::exp(x - next);
      mass[index] = mass[index] * shrink + weight;
      for (int64_t e = 0; e < d; ++e)
        sum(j, e) = sum(j, e) * shrink + weight * head.v(i, e);
      maximum[index] = next;
    }
    if (i < exactEnd)
      continue;
    for (int64_t j = 0; j < m; ++j)
      for (int64_t e = 0; e < d; ++e)
        out(i, e) += p(i, j) * sum(j, e) / mass[static_cast<size_t>(j)];
  }
  return out;
}

} // namespace nysjit::reference
