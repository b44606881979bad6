// Gradients through A+ of the Newton-Schulz iteration, and through the source that uses it.
#pragma once
#include "runtime/reference/layout_gradients.h"

namespace nysjit::reference {

/// The gradient of A, from that of A+ = the last of `steps` (newtonSchulzSteps of A): that of the
/// iteration as run, its norms included. Where several columns or rows have the largest sum, the
/// first stands for all.
Matrix newtonSchulzGradient(const Matrix &a, const std::vector<Matrix> &steps, Matrix dinverse);

/// What bidirectional attention over positions [0, length) is made of: plain scores, U = A+ (B V).
struct Source {
  Matrix qtilde;
  Matrix ktilde;
  Matrix a;
  std::vector<Matrix> steps; // of A+
  Matrix bv;
  Matrix u;
  int64_t length;
};
Source makeSource(const LayoutInput &input, int64_t length);

/// Adds the gradient of its rows and of `du`, what others made of U.
void addSourceGradient(const LayoutInput &input, const Source &source, const Matrix &dout,
                       Matrix du, HeadGradient &out);

/// One unit of float32's rounding, either way, of the size of what is summed up in X Y^T.
Matrix roundingOfProduct(const Matrix &x, const Matrix &y);

/// What becomes of q's and k's gradients when float32 rounds that of A+, dU (B V)^T, by a unit of
/// what its sums add up, each number one way or the other. Where queries and keys are so small that
/// A is nearly uniform, its inverse is large and most of dA+ comes to nothing, since a row of A
/// sums to 1 whatever its logits: what remains may be no larger than this.
HeadGradient roundingOfInverse(const LayoutInput &input, const Matrix &dout);
/// The same of `scan`, of dF = dP (A+)^T and dA+ = F^T dP; landmarks' gradients, too.
HeadGradient roundingOfScan(const LayoutInput &input, const Matrix &dout);

} // namespace nysjit::reference
