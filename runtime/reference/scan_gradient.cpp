// The gradient of scan in float64: forth for the running means, back for what they are made of.
#include "runtime/reference/inverse_gradient.h"
#include "runtime/reference/landmark_gradients.h"
#include "runtime/reference/softmax_gradient.h"

#include <algorithm>
#include <limits>

namespace nysjit::reference {

namespace {

/// Scores x_tj = tau qtilde_j.k_t, and for position i and landmark j, over t <= i: the maximum of
/// x_tj, and the mass, the sum of e^{x_tj - maximum}. All [n, m].
struct RunningMasses {
  Matrix x;
  Matrix maximum;
  Matrix mass;
};

RunningMasses runningMasses(const Matrix &qtilde, const Head &head) {
  const int64_t n = head.length();
  const int64_t m = qtilde.rows;
  RunningMasses result{Matrix(n, m), Matrix(n, m), Matrix(n, m)};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double x = head.scale * dot(qtilde.row(j), head.k.row(i), head.k.columns);
      const double before = i > 0 ? result.maximum(i - 1, j) : x;
      const double maximum = std::max(before, x);
      const double massBefore = i > 0 ? result.mass(i - 1, j) : 0;
      result.x(i, j) = x;
      result.maximum(i, j) = maximum;
      result.mass(i, j) = massBefore * std::exp(before - maximum) + std::exp(x - maximum);
    }
  return result;
}

/// dP_ij = dO_i.C_j(i) of rows i >= first, for O_i = sum over j of P_ij C_j(i), C_j(i) the running
/// mean of v under e^{x_tj}, t <= i.
Matrix weightGradients(const RunningMasses &running, const Matrix &v, const Matrix &dout,
                       int64_t first) {
  const int64_t m = running.x.columns;
  Matrix dp(v.rows, m);
  Matrix sum(m, v.columns);
  for (int64_t i = 0; i < v.rows; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double maximum = running.maximum(i, j);
      const double shrink = i > 0 ? std::exp(running.maximum(i - 1, j) - maximum) : 0;
      const double weight = std::exp(running.x(i, j) - maximum);
      for (int64_t e = 0; e < v.columns; ++e)
        sum(j, e) = sum(j, e) * shrink + weight * v(i, e);
      if (i >= first)
        dp(i, j) = dot(dout.row(i), sum.row(j), v.columns) / running.mass(i, j);
    }
  return dp;
}

/// Through the running means: with z_j(i) the sum of e^{x_tj} over t <= i, and sums over the rows
/// that see position t, S_j(t) = sum over i >= t of P_ij / z_j(i) dO_i and h_j(t) = sum of P_ij /
/// z_j(i) dP_ij, it is dv_t = sum over j of e^{x_tj} S_j(t), dx_tj = e^{x_tj} (S_j(t).v_t -
/// h_j(t)). Both are kept in units of e^{-maximum_j(t)}, so that all factors are 1 at most. P and
/// dP are 0 in rows that are no mean.
void addMeansGradient(const RunningMasses &running, const Head &head, const Matrix &qtilde,
                      const Matrix &p, const Matrix &dp, const Matrix &dout, Matrix &dqtilde,
                      HeadGradient &out) {
  const int64_t d = head.v.columns;
  const int64_t n = head.length();
  Matrix s(qtilde.rows, d);
  std::vector<double> h(size_t(qtilde.rows), 0.0);
  for (int64_t t = n; t-- > 0;)
    for (int64_t j = 0; j < qtilde.rows; ++j) {
      const double maximum = running.maximum(t, j);
      const double shrink = t + 1 < n ? std::exp(maximum - running.maximum(t + 1, j)) : 0;
      const double share = p(t, j) / running.mass(t, j);
      for (int64_t e = 0; e < d; ++e)
        s(j, e) = s(j, e) * shrink + share * dout(t, e);
      h[size_t(j)] = h[size_t(j)] * shrink + share * dp(t, j);
      const double weight = std::exp(running.x(t, j) - maximum);
      const double dx = weight * (dot(s.row(j), head.v.row(t), d) - h[size_t(j)]);
      addTo(out.v.row(t), weight, s.row(j), d);
      addTo(out.k.row(t), head.scale * dx, qtilde.row(j), d);
      addTo(dqtilde.row(j), head.scale * dx, head.k.row(t), d);
    }
}

/// Landmarks, or gradients of them.
struct ScanLandmarks {
  Matrix q;
  Matrix k;
};

/// The rows that landmarks serve, from `first` on.
struct ScanRows {
  int64_t first;
  ScanLandmarks landmarks;
  Matrix a;
  std::vector<Matrix> steps; // of A+
  Matrix f;
  RunningMasses running;
  Matrix dp;

  ScanRows(const LayoutInput &input, const Matrix &dout)
      : first(firstOf(input)), landmarks(landmarksOf(input)),
        a(softmaxScores(landmarks.q, landmarks.k, input.head.scale)),
        steps(newtonSchulzSteps(a, input.spec.inverseIterations)),
        f(softmaxScores(input.head.q, landmarks.k, input.head.scale)),
        running(runningMasses(landmarks.q, input.head)),
        dp(weightGradients(running, input.head.v, dout, first)) {}

  const Matrix &inverse() const { return steps.back(); }

private:
  static int64_t firstOf(const LayoutInput &input) {
    const bool isFirstK = input.spec.landmarkSource == LandmarkSource::FirstK;
    return isFirstK ? std::min<int64_t>(input.spec.firstK, input.head.length()) : 0;
  }
  static ScanLandmarks landmarksOf(const LayoutInput &input) {
    const KernelSpec &spec = input.spec;
    if (spec.landmarkSource != LandmarkSource::FirstK)
      return {input.learnedQ, input.learnedK};
    auto means = [&](const Matrix &all) {
      return segmentMeans(all.slice(0, firstOf(input)), spec.firstK / spec.landmarks,
                          spec.landmarks);
    };
    return {means(input.head.q), means(input.head.k)};
  }
};

/// From what P = F A+ has of F and A+.
void addWeightsGradient(const LayoutInput &input, const ScanRows &rows, const Matrix &df,
                        const Matrix &dinverse, ScanLandmarks &d, HeadGradient &out) {
  const double scale = input.head.scale;
  addScoresGradient(input.head.q, rows.landmarks.k, scale, rows.f, df, out.q, d.k);
  addScoresGradient(rows.landmarks.q, rows.landmarks.k, scale, rows.a,
                    newtonSchulzGradient(rows.a, rows.steps, dinverse), d.q, d.k);
}

void addLandmarksGradient(const LayoutInput &input, const ScanLandmarks &d, HeadGradient &out) {
  const KernelSpec &spec = input.spec;
  if (spec.landmarkSource != LandmarkSource::FirstK) {
    addTo(out.learnedQ, 1, d.q);
    addTo(out.learnedK, 1, d.k);
    return;
  }
  const int64_t len = spec.firstK / spec.landmarks;
  for (int64_t g = 0; g < spec.landmarks; ++g) {
    addMeanGradient(d.q.row(g), g * len, (g + 1) * len, out.q);
    addMeanGradient(d.k.row(g), g * len, (g + 1) * len, out.k);
  }
}

/// Whether landmarks serve any row.
bool hasScanRows(const LayoutInput &input) {
  return input.spec.landmarkSource != LandmarkSource::FirstK ||
         input.spec.firstK < input.head.length();
}

} // namespace

HeadGradient scanGradient(const LayoutInput &input, const Matrix &dout) {
  const Head &head = input.head;
  HeadGradient out(input);
  if (input.spec.landmarkSource == LandmarkSource::FirstK)
    for (int64_t i = 0; i < std::min<int64_t>(input.spec.firstK, head.length()); ++i)
      addRowGradient(head.q.row(i), dout.row(i), head.scale,
                     {{head.k, head.v, out.k, out.v, 0, i + 1}}, out.q.row(i));
  if (!hasScanRows(input))
    return out;
  const ScanRows rows(input, dout);
  ScanLandmarks d{Matrix(rows.landmarks.q.rows, head.q.columns),
                  Matrix(rows.landmarks.k.rows, head.q.columns)};
  Matrix p = multiply(rows.f, rows.inverse());
  std::fill(p.row(0), p.row(rows.first), 0.0);
  addMeansGradient(rows.running, head, rows.landmarks.q, p, rows.dp, dout, d.q, out);
  addWeightsGradient(input, rows, multiply(rows.dp, transpose(rows.inverse())),
                     multiply(transpose(rows.f), rows.dp), d, out);
  addLandmarksGradient(input, d, out);
  return out;
}

HeadGradient roundingOfScan(const LayoutInput &input, const Matrix &dout) {
  HeadGradient out(input);
  if (!hasScanRows(input))
    return out;
  const ScanRows rows(input, dout);
  ScanLandmarks d{Matrix(rows.landmarks.q.rows, input.head.q.columns),
                  Matrix(rows.landmarks.k.rows, input.head.q.columns)};
  addWeightsGradient(input, rows, roundingOfProduct(rows.dp, rows.inverse()),
                     roundingOfProduct(transpose(rows.f), transpose(rows.dp)), d, out);
  addLandmarksGradient(input, d, out);
  return out;
}

} // namespace nysjit::reference
