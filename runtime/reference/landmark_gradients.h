// Gradients through landmarks: a segment's own softmax, its means, and the stabilized solve.
#pragma once
#include "runtime/reference/layout_gradients.h"

namespace nysjit::reference {

/// Gradients of Landmarks, each of the shape of what it is the gradient of.
struct LandmarkGradients {
  Matrix qtilde;
  Matrix khat;
  Matrix pool;
  std::vector<double> c;
  /// Zeros.
  explicit LandmarkGradients(const Landmarks &landmarks)
      : qtilde(landmarks.count(), landmarks.qtilde.columns), khat(qtilde), pool(qtilde),
        c(size_t(landmarks.count()), 0.0) {}
};

/// Gradients of what a softmax over positions makes of them: sum w v, sum w k and the entropy of w.
/// No dkey: only the value is used.
struct OwnSoftmaxGradients {
  const double *dvalue;
  const double *dkey = nullptr;
  double dentropy = 0;
};

/// For w = softmax over positions [begin, end) of tau query.k_t: adds to the query's gradient and
/// to those of k and v.
void addOwnSoftmaxGradient(const Head &head, const double *query, int64_t begin, int64_t end,
                           const OwnSoftmaxGradients &of, double *dquery, HeadGradient &out);

/// A mean of rows [begin, end): adds its gradient to theirs.
void addMeanGradient(const double *dmean, int64_t begin, int64_t end, Matrix &drows);

/// From landmarks made with `weight` to the rows of q, k and v. (With `count` c is a constant.)
void addLandmarkGradients(const Head &head, const Landmarks &landmarks, LandmarkWeight weight,
                          LandmarkGradients &d, HeadGradient &out);

/// The stabilized solve of a head's landmarks: U, and A and B V that it comes of. The first
/// landmarks, as many as `known` has rows, have their U from there and no row in A and B V.
struct SolvedValues {
  Matrix u;
  Matrix a;
  Matrix bv;
};
SolvedValues solveValues(const Head &head, const Landmarks &landmarks, const Matrix &known,
                         double stabilizer);

/// Its gradient: adds to the landmarks' and, through B, to those of k and v. `du` is that of U as
/// others made it; afterwards that of all rows, with what later rows of the solve made of them.
void addSolveGradient(const Head &head, const Landmarks &landmarks, const SolvedValues &solved,
                      int64_t known, double stabilizer, Matrix &du, LandmarkGradients &d,
                      HeadGradient &out);

} // namespace nysjit::reference
