// The stabilized solve and its gradient, row by row: U_g is made of rows before it, so gradients go
// from the last row to the first.
#include "runtime/reference/landmark_gradients.h"
#include "runtime/reference/softmax_gradient.h"

#include <algorithm>

namespace nysjit::reference {

SolvedValues solveValues(const Head &head, const Landmarks &landmarks, const Matrix &known,
                         double stabilizer) {
  const int64_t d = head.q.columns;
  const int64_t m = landmarks.count();
  SolvedValues result{Matrix(m, d), Matrix(m, m), Matrix(m, d)};
  std::copy(known.values.begin(), known.values.end(), result.u.values.begin());
  for (int64_t g = known.rows; g < m; ++g) {
    // A_gj proportional to e^{l_j(qtilde_g)}, j <= g
    std::vector<double> a;
    for (int64_t j = 0; j <= g; ++j)
      a.push_back(head.scale * dot(landmarks.qtilde.row(g), landmarks.khat.row(j), d) +
                  landmarks.c[size_t(j)]);
    softmax(a);
    const std::vector<double> bv = attend(head, landmarks.qtilde.row(g), landmarks.end[size_t(g)]);
    const std::vector<double> u = solveRow(a, result.u, bv, landmarks.pool.row(g), stabilizer);
    std::copy(a.begin(), a.end(), result.a.row(g));
    std::copy(bv.begin(), bv.end(), result.bv.row(g));
    std::copy(u.begin(), u.end(), result.u.row(g));
  }
  return result;
}

/// From the gradient y of U_g = pool + gain(a_gg) rest, rest = BV_g - sum over j < g of a_gj U_j -
/// a_gg pool: adds to those of U_j and pool, sets that of BV_g, returns that of row g of A.
static std::vector<double> solveRowGradient(const SolvedValues &solved, int64_t g,
                                            const double *pool, double stabilizer, Matrix &du,
                                            double *dpool, std::vector<double> &dbv) {
  const int64_t d = solved.u.columns;
  const double *y = du.row(g);
  const double *a = solved.a.row(g);
  const double square = a[g] * a[g];
  const double gain = a[g] / (square + stabilizer);
  const double slope = (stabilizer - square) / (square + stabilizer) / (square + stabilizer);
  std::vector<double> rest(solved.bv.row(g), solved.bv.row(g) + d);
  std::vector<double> da;
  for (int64_t j = 0; j < g; ++j) {
    addTo(rest.data(), -a[j], solved.u.row(j), d);
    da.push_back(-gain * dot(y, solved.u.row(j), d));
    addTo(du.row(j), -gain * a[j], y, d);
  }
  addTo(rest.data(), -a[g], pool, d);
  da.push_back(slope * dot(y, rest.data(), d) - gain * dot(y, pool, d));
  addTo(dpool, 1 - a[g] * gain, y, d);
  dbv.assign(size_t(d), 0.0);
  addTo(dbv.data(), gain, y, d);
  return da;
}

void addSolveGradient(const Head &head, const Landmarks &landmarks, const SolvedValues &solved,
                      int64_t known, double stabilizer, Matrix &du, LandmarkGradients &d,
                      HeadGradient &out) {
  const int64_t columns = head.q.columns;
  for (int64_t g = landmarks.count(); g-- > known;) {
    std::vector<double> dbv;
    const std::vector<double> da =
        solveRowGradient(solved, g, landmarks.pool.row(g), stabilizer, du, d.pool.row(g), dbv);
    // Through row g of B.
    addRowGradient(landmarks.qtilde.row(g), dbv.data(), head.scale,
                   {{head.k, head.v, out.k, out.v, 0, landmarks.end[size_t(g)]}}, d.qtilde.row(g));
    // Through row g of A.
    const std::vector<double> dx = softmaxGradient({solved.a.row(g), solved.a.row(g) + g + 1}, da);
    for (int64_t j = 0; j <= g; ++j) {
      addTo(d.qtilde.row(g), head.scale * dx[size_t(j)], landmarks.khat.row(j), columns);
      addTo(d.khat.row(j), head.scale * dx[size_t(j)], landmarks.qtilde.row(g), columns);
      d.c[size_t(j)] += dx[size_t(j)];
    }
  }
}

} // namespace nysjit::reference
