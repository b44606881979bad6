// The inverse of A = softmax(tau Qtilde Ktilde^T) that the Nystromformer iterates:
//   Z_0 = A^T / (largest column sum of A * largest row sum)
//   Z <- 1/4 Z (13 I - A Z (15 I - A Z (7 I - A Z)))
#pragma once
#include "templates/attention.h"

namespace nysjit {

/// Blocks of a kernel that inverts matrices of up to `landmarks` rows.
BlockConfig inverseBlocks(Program &program, const char *kernel, int landmarks, bool mayBeFew);

/// Square matrices of one head's landmarks while a kernel computes them, by tiles of block x block;
/// 0 beyond the landmarks there are.
struct InverseMatrices {
  Kernel &k;
  TensorRef memory;  // [heads, matrices, rows, columns]
  TensorRef maximum; // of A's rows, [heads, rows]
  TensorRef mass;
  Scalar number; // of the head
  Scalar count;  // landmarks there are
  int block;

  View matrix(const Scalar &which) const { return k.view(memory, {number, which}); }
  Tile load(const View &view, const Scalar &i0, const Scalar &j0) const {
    return k.load(k.columns(view, j0, block), i0, block);
  }
  void store(const Tile &x, const View &view, const Scalar &i0, const Scalar &j0) const {
    k.store(x, k.columns(view, j0, block), i0);
  }
  /// For each tile; what the body stored may then be loaded.
  void forAllTiles(const std::function<void(Scalar i0, Scalar j0)> &body) const;
  /// The tile of x y.
  Tile product(const View &x, const View &y, const Scalar &i0, const Scalar &j0) const;
  /// out = x y, finished tile by tile.
  using Finish = std::function<Tile(const Tile &product, const Scalar &i0, const Scalar &j0)>;
  void multiply(const View &x, const View &y, const View &out, const Finish &finish) const;

  /// A, and its transpose from products of its own.
  void storeSoftmax(const View &query, const View &key, const View &a, const View &turned) const;
  /// 1 / (largest column sum * largest row sum) of A.
  Tile storeFirst(const View &a, const View &turned) const;
  /// W = A Z, P = 15 I - 7 W + W W, Q = 13 I - W P; then Z <- 1/4 Z Q. `next` may be P.
  void storeFactors(const View &a, const View &z, const View &w, const View &p,
                    const View &q) const;
  void storeNext(const View &z, const View &q, const View &next) const;
};

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
};

} // namespace nysjit
