// Through the iterated inverse Z_T of A = softmax(tau Qtilde Ktilde^T), the norms of Z_0 included.
// With X' the transpose of the derivative by X, so that all products are plain ones:
//   W = A Z, P = 15 I - 7 W + W W, Q = 13 I - W P, Z_next = 1/4 Z Q          (inverse.h)
//   Q' = 1/4 Z_next' Z,   P' = -Q' W,   W' = -P Q' - 7 P' + W P' + P' W
//   Z' = 1/4 Q Z_next' + W' A,   A' += Z W'                       from the last step to the first
//   Z_0 = A^T / (alpha beta): dA += dZ_0^T / (alpha beta), and the column whose sum alpha is (the
//   first, if several) less <dZ_0, Z_0> / alpha. What beta adds is one number along a row of dA:
//   nothing after the softmax, whose logits have
//   dX = A (dA - row sums of A dA),   dqtilde += tau dX ktilde,   dktilde += tau dX^T qtilde
#pragma once
#include "templates/inverse.h"

namespace nysjit {

/// Memory for `heads` such gradients, iterations + 9 matrices each, and what computes them. A
/// kernel calls iterate, differentiate and addTo for a head; what multiplies tau is left without.
struct InverseGradient {
  int block;
  int iterations;
  TensorRef matrices; // [heads, iterations + 9, rows, columns]
  TensorRef maximum;
  TensorRef mass;

  InverseGradient(Program &program, const Scalar &heads, const Scalar &capacity, int block);

  /// Iterates again, to Z_T.
  InverseMatrices iterate(Kernel &k, const Scalar &number, const View &query, const View &key,
                          const Scalar &count) const;
  View inverse(const InverseMatrices &m) const { return m.matrix(1 + iterations); }
  /// `tileOf`: the tile at (i0, j0) of (dZ_T)^T, 0 beyond the landmarks there are; Z_T is lost.
  void differentiate(const InverseMatrices &m,
                     const std::function<Tile(Scalar i0, Scalar j0)> &tileOf) const;
  /// Adds to dqtilde and dktilde; to 0 in place of what dqtilde holds where `isFirst`.
  void addTo(const InverseMatrices &m, const View &query, const View &key, const View &dQuery,
             const View &dKey, bool isFirst) const;

private:
  View gradientOf(const InverseMatrices &m, const Scalar &turn) const;
  void stepBack(const InverseMatrices &m, const Scalar &turn) const;
  void storeWeightGradient(const InverseMatrices &m) const;
};

} // namespace nysjit
