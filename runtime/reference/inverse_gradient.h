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

} // namespace nysjit::reference
