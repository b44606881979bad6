// exact_causal, causal and segment_causal in float64.
#include "runtime/reference/layouts.h"

#include <algorithm>

namespace nysjit::reference {

Matrix exactWeights(const Head &head) {
  Matrix weights(head.length(), head.length());
  for (int64_t i = 0; i < head.length(); ++i) {
    std::vector<double> row;
    for (int64_t t = 0; t <= i; ++t)
      row.push_back(head.scale * dot(head.q.row(i), head.k.row(t), head.q.columns));
    softmax(row);
    std::copy(row.begin(), row.end(), weights.row(i));
  }
  return weights;
}

Matrix exactCausal(const LayoutInput &input) {
  const Head &head = input.head;
  Matrix out(head.length(), head.q.columns);
  for (int64_t i = 0; i < head.length(); ++i) {
    const std::vector<double> row = attend(head, head.q.row(i), i + 1);
    std::copy(row.begin(), row.end(), out.row(i));
  }
  return out;
}

/// U by the stabilized solve (nystrom), or each segment's own value (streaming).
static Matrix landmarkValues(const Head &head, const KernelSpec &spec, const Landmarks &landmarks) {
  if (spec.landmarkValue == LandmarkValue::Streaming)
    return landmarks.pool;
  const int64_t d = head.q.columns;
  Matrix u(landmarks.count(), d);
  for (int64_t g = 0; g < landmarks.count(); ++g) {
    // A_gj proportional to e^{l_j(qtilde_g)}, j <= g
    std::vector<double> a;
    for (int64_t j = 0; j <= g; ++j)
      a.push_back(head.scale * dot(landmarks.qtilde.row(g), landmarks.khat.row(j), d) +
                  landmarks.c[static_cast<size_t>(j)]);
    softmax(a);
    const std::vector<double> bv =
        attend(head, landmarks.qtilde.row(g), landmarks.end[static_cast<size_t>(g)]);
    const std::vector<double> row = solveRow(a, u, bv, landmarks.pool.row(g), spec.stabilizer);
    std::copy(row.begin(), row.end(), u.row(g));
  }
  return u;
}

CausalWeights causalWeights(const Head &head, const KernelSpec &spec, int64_t segmentLen) {
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  CausalWeights weights;
  weights.landmarks =
      makeLandmarks(head, 0, n, segmentLen, /*keepShort=*/false, spec.landmarkWeight);
  weights.near = Matrix(n, n);
  weights.far = Matrix(n, weights.landmarks.count());
  for (int64_t i = 0; i < n; ++i) {
    // far: landmarks j < seg(i) - window; near: positions t <= i of later segments
    const int64_t farCount = std::max<int64_t>(i / segmentLen - spec.window, 0);
    const int64_t nearStart = farCount * segmentLen;
    std::vector<double> row;
    for (int64_t j = 0; j < farCount; ++j)
      row.push_back(head.scale * dot(head.q.row(i), weights.landmarks.khat.row(j), d) +
                    weights.landmarks.c[static_cast<size_t>(j)]);
    for (int64_t t = nearStart; t <= i; ++t)
      row.push_back(head.scale * dot(head.q.row(i), head.k.row(t), d));
    softmax(row);
    std::copy(row.begin(), row.begin() + farCount, weights.far.row(i));
    std::copy(row.begin() + farCount, row.end(), weights.near.row(i) + nearStart);
  }
  return weights;
}

Matrix causal(const LayoutInput &input) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  if (spec.landmarkSource == LandmarkSource::Learned)
    return causalOfProbes(input);
  const int64_t segmentLen = input.segmentLen;
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  const Landmarks landmarks =
      makeLandmarks(head, 0, n, segmentLen, /*keepShort=*/false, spec.landmarkWeight);
  const Matrix u = landmarkValues(head, spec, landmarks);
  Matrix out(n, d);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t farCount = std::max<int64_t>(i / segmentLen - spec.window, 0);
    const int64_t nearStart = farCount * segmentLen;
    std::vector<double> row;
    for (int64_t j = 0; j < farCount; ++j)
      row.push_back(head.scale * dot(head.q.row(i), landmarks.khat.row(j), d) +
                    landmarks.c[static_cast<size_t>(j)]);
    for (int64_t t = nearStart; t <= i; ++t)
      row.push_back(head.scale * dot(head.q.row(i), head.k.row(t), d));
    softmax(row);
    for (int64_t e = 0; e < d; ++e) {
      for (int64_t j = 0; j < farCount; ++j)
        out(i, e) += row[static_cast<size_t>(j)] * u(j, e);
      for (int64_t t = nearStart; t <= i; ++t)
        out(i, e) += row[static_cast<size_t>(farCount + t - nearStart)] * head.v(t, e);
    }
  }
  return out;
}

Matrix segmentCausal(const LayoutInput &input) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  const int64_t segmentLen = input.segmentLen;
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  // Plain scores: khat is the mean key and there is no c.
  Landmarks landmarks =
      makeLandmarks(head, 0, n, segmentLen, /*keepShort=*/true, LandmarkWeight::Count);
  std::fill(landmarks.c.begin(), landmarks.c.end(), 0.0);
  const Matrix u = landmarkValues(head, spec, landmarks);
  Matrix out(n, d);
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> f; // F_ij, j <= seg(i)
    for (int64_t j = 0; j <= i / segmentLen; ++j)
      f.push_back(head.scale * dot(head.q.row(i), landmarks.khat.row(j), d));
    softmax(f);
    for (size_t j = 0; j < f.size(); ++j)
      for (int64_t e = 0; e < d; ++e)
        out(i, e) += f[j] * u(static_cast<int64_t>(j), e);
  }
  return out;
}

} // namespace nysjit::reference
