// Segments, landmarks and what is solved for on them, for one head of one sequence (float64
// reference).
#pragma once
#include "runtime/reference/matrix.h"
#include "runtime/spec/spec.h"

namespace nysjit::reference {

/// Rows of one head of one sequence: [n, d] each, and the softmax scale tau.
struct Head {
  Matrix q;
  Matrix k;
  Matrix v;
  double scale;
  int64_t length() const { return q.rows; }
};

/// Logits x_t = tau query.k_t of positions [begin, end), and their softmax.
struct OwnSoftmax {
  std::vector<double> below; // x_t less the largest
  double maximum;
  double mass; // sum of e^below

  OwnSoftmax(const Head &head, const double *query, int64_t begin, int64_t end);
};

/// Means of each segment of `length` rows; the last may be short.
Matrix segmentMeans(const Matrix &x, int64_t segmentLen, int64_t segments);

/// Landmarks with their logits l_j(q) = tau q.khat_j + c_j and each segment's own softmax value.
struct Landmarks {
  Matrix qtilde;
  Matrix khat;
  Matrix pool;
  std::vector<double> c;
  std::vector<int64_t> begin;
  std::vector<int64_t> end; // positions of each segment
  int64_t count() const { return qtilde.rows; }
};
/// Segments of positions [first, last) cut every segmentLen; a short last one counts only if
/// `keepShort`.
Landmarks makeLandmarks(const Head &head, int64_t first, int64_t last, int64_t segmentLen,
                        bool keepShort, LandmarkWeight weight);

/// Z_0 and what each of `iterations` steps of the order-3 Newton-Schulz iteration makes of it; the
/// last is A+. No entry of A is below 0: Z_0 is divided by plain sums.
std::vector<Matrix> newtonSchulzSteps(const Matrix &a, int iterations);
/// The last of them alone.
Matrix newtonSchulz(const Matrix &a, int iterations);
/// `diagonal` I - x.
Matrix minusFrom(double diagonal, Matrix x);

/// softmax(tau a b^T), row by row, over all columns.
Matrix softmaxScores(const Matrix &a, const Matrix &b, double scale);

/// One row of the stabilized solve: pool + a_gg / (a_gg^2 + lambda) (bv - sum over j < g of a_gj
/// U_j - a_gg pool). `a` has one weight for each row of `known`, then a_gg.
std::vector<double> solveRow(const std::vector<double> &a, const Matrix &known,
                             const std::vector<double> &bv, const double *pool, double stabilizer);

/// softmax over positions [0, end) of tau query.k_t, times v_t.
std::vector<double> attend(const Head &head, const double *query, int64_t end);

} // namespace nysjit::reference
