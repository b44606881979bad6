// The inverse of A = softmax(tau Qtilde Ktilde^T) that the Nystromformer iterates:
//   Z_0 = A^T / (largest column sum of A * largest row sum)
//   Z <- 1/4 Z (13 I - A Z (15 I - A Z (7 I - A Z)))
#pragma once
#include "templates/attention.h"

namespace nysjit {

/// Blocks of a kernel that inverts matrices of up to `landmarks` rows.
BlockConfig inverseBlocks(Program &program, const char *kernel, int landmarks, bool mayBeFew);

/// Memory for the inverses of `heads` matrices of up to `capacity` rows: five matrices each, and
/// what computes them.
struct InverseWorkspace {
  const KernelSpec &spec;
  int block;
  int iterations;
  int columns;        // of a matrix: whole blocks
  TensorRef matrices; // [heads, 5, rows, columns]: A, Z or P, A Z, P or Z, Q
  TensorRef maximum;  // of A's rows, [heads, rows]
  TensorRef mass;

  /// Computed `block` rows and columns at a time; a later kernel may read `readBlock`.
  InverseWorkspace(Program &program, const Scalar &heads, const Scalar &capacity, int block,
                   int readBlock);
  /// Emits the iteration on A of these rows (`count` of each; float32 products) for matrix
  /// `number`. The view it returns, [rows, columns], is read by blocks; beyond `count` it is 0.
  View invert(Kernel &k, const Scalar &number, const View &query, const View &key,
              const Scalar &count) const;
  /// What invert returned, for a later kernel.
  View result(Kernel &k, const Scalar &number) const {
    return k.view(matrices, {number, 1 + iterations % 2 * 2});
  }

private:
  struct Matrices; // of one head, in a kernel
};

} // namespace nysjit
