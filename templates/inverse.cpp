// Newton and Schulz's iteration, a tile at a time in one cell.
#include "templates/inverse.h"

#include <algorithm>

namespace nysjit {

BlockConfig inverseBlocks(Program &program, const char *kernel, int landmarks, bool mayBeFew) {
  return program.blocks(kernel, {.blockM = landmarks > 32 ? 64 : 32},
                        {.hasFewCells = true, .mayHaveFewRows = mayBeFew});
}

static int roundUp(int number, int step) { return (number + step - 1) / step * step; }

InverseWorkspace::InverseWorkspace(Program &program, const Scalar &heads, const Scalar &capacity,
                                   int blockSize, int readBlock)
    : spec(program.spec()), block(blockSize), iterations(spec.inverseIterations),
      columns(roundUp(spec.landmarks, std::max(block, readBlock))),
      matrices(
          program.buffer("inverse", {heads, 5, ceilDiv(capacity, blockSize) * blockSize, columns})),
      maximum(program.buffer("inverse_maximum", {heads, capacity})),
      mass(program.buffer("inverse_mass", {heads, capacity})) {}

/// The five matrices of a head while they are computed, by tiles of block x block.
struct InverseWorkspace::Matrices {
  Kernel &k;
  const InverseWorkspace &workspace;
  Scalar pair;
  Scalar count; // landmarks there are
  int block;

  View matrix(const Scalar &number) const { return k.view(workspace.matrices, {pair, number}); }
  Tile load(const View &view, const Scalar &i0, const Scalar &j0) const {
    return k.load(k.columns(view, j0, block), i0, block);
  }
  void store(const Tile &x, const View &view, const Scalar &i0, const Scalar &j0) const {
    k.store(x, k.columns(view, j0, block), i0);
  }
  void forAllTiles(const std::function<void(Scalar, Scalar)> &body) const {
    k.forRange({0, count}, block, {}, [&](Scalar i0) {
      k.forRange({0, count}, block, {}, [&](Scalar j0) { body(i0, j0); });
    });
    k.sync();
  }

  /// A into matrix 0, and its transpose into matrix 1 from products of its own; 0 beyond the
  /// landmarks there are. Products may be rounded otherwise than their row's mass: a weight is 1 at
  /// most.
  void softmaxOf(const View &query, const View &key) const;
  /// Z_0 = A^T / (largest column sum * largest row sum), in matrix 1.
  void normalize() const;
  /// out = x y, finished tile by tile.
  using Finish = std::function<Tile(const Tile &product, const Tile &identity, Scalar, Scalar)>;
  void multiply(const View &x, const View &y, const View &out, const Finish &finish) const;
  /// One step, from matrix 1 to 3 or back.
  void iterate(const Scalar &step) const;
};

void InverseWorkspace::Matrices::softmaxOf(const View &query, const View &key) const {
  const Tile scale = logitScale(k);
  const View maximum = k.slice(k.view(workspace.maximum, {pair}), 0, count);
  const View mass = k.slice(k.view(workspace.mass, {pair}), 0, count);
  auto scores = [&](const View &of, const View &with, const Scalar &i0, const Scalar &j0) {
    const Tile left = k.load(of, i0, block);
    return dot(left, transposed(k.load(with, j0, block)), DotPrecision::Full) * scale;
  };
  k.forRange({0, count}, block, {}, [&](Scalar i0) {
    OnlineMass row(k, block);
    k.forRange({0, count}, block, row.carry(), [&](Scalar j0) {
      const Tile isThere = cols(j0 + k.iota(block)) < count;
      row.add(where(isThere, scores(query, key, i0, j0), negativeInfinity));
    });
    k.store(row.maximum, maximum, i0);
    k.store(row.mass, mass, i0);
  });
  k.sync();
  forAllTiles([&](Scalar i0, Scalar j0) {
    const Tile exists = (rows(i0 + k.iota(block)) < count) & (cols(j0 + k.iota(block)) < count);
    const Tile excess = scores(query, key, i0, j0) - rows(k.load(maximum, i0, block));
    const Tile weight = exp2(min(excess, 0.0)) * rows(1.0 / k.load(mass, i0, block));
    store(where(exists, weight, 0.0), matrix(0), i0, j0);
    const Tile across = scores(key, query, i0, j0) - cols(k.load(maximum, j0, block));
    const Tile turned = exp2(min(across, 0.0)) * cols(1.0 / k.load(mass, j0, block));
    store(where(exists, turned, 0.0), matrix(1), i0, j0);
  });
}

void InverseWorkspace::Matrices::normalize() const {
  Tile largestRow = k.number(0);
  Tile largestColumn = k.number(0);
  k.forRange({0, count}, block, {&largestRow, &largestColumn}, [&](Scalar i0) {
    Tile rowSums = k.fill(block, 0);
    Tile columnSums = k.fill(block, 0);
    k.forRange({0, count}, block, {&rowSums, &columnSums}, [&](Scalar j0) {
      rowSums = rowSums + rowSum(load(matrix(0), i0, j0));
      columnSums = columnSums + rowSum(load(matrix(1), i0, j0));
    });
    largestRow = max(largestRow, maxOf(rowSums));
    largestColumn = max(largestColumn, maxOf(columnSums));
  });
  const Tile share = 1.0 / (largestRow * largestColumn);
  forAllTiles(
      [&](Scalar i0, Scalar j0) { store(load(matrix(1), i0, j0) * share, matrix(1), i0, j0); });
}

void InverseWorkspace::Matrices::multiply(const View &x, const View &y, const View &out,
                                          const Finish &finish) const {
  forAllTiles([&](Scalar i0, Scalar j0) {
    Tile product = k.fill(block, block, 0);
    k.forRange({0, count}, block, {&product}, [&](Scalar l0) {
      const Tile left = load(x, i0, l0);
      product = dotAdd(product, left, load(y, l0, j0), DotPrecision::Full);
    });
    const Tile isDiagonal = rows(i0 + k.iota(block)) == cols(j0 + k.iota(block));
    const Tile identity = where(isDiagonal, k.fill(block, block, 1), 0.0);
    store(finish(product, identity, i0, j0), out, i0, j0);
  });
}

/// Z <- 1/4 Z (13 I - A Z (15 I - A Z (7 I - A Z))): W = A Z, P = 15 I - 7 W + W W, Q = 13 I - W P,
/// Z = 1/4 Z Q over P
void InverseWorkspace::Matrices::iterate(const Scalar &step) const {
  const View a = matrix(0);
  const View z = matrix(1 + step % 2 * 2);
  const View w = matrix(2);
  const View p = matrix(3 - step % 2 * 2);
  const View q = matrix(4);
  multiply(a, z, w, [&](const Tile &product, const Tile &, Scalar, Scalar) { return product; });
  multiply(w, w, p, [&](const Tile &product, const Tile &identity, Scalar i0, Scalar j0) {
    return identity * 15.0 - load(w, i0, j0) * 7.0 + product;
  });
  multiply(w, p, q, [&](const Tile &product, const Tile &identity, Scalar, Scalar) {
    return identity * 13.0 - product;
  });
  multiply(z, q, p,
           [&](const Tile &product, const Tile &, Scalar, Scalar) { return product * 0.25; });
}

View InverseWorkspace::invert(Kernel &k, const Scalar &pair, const View &query, const View &key,
                              const Scalar &count) const {
  const Matrices m{k, *this, pair, count, block};
  m.softmaxOf(query, key);
  m.normalize();
  k.forRange({0, iterations}, 1, {}, [&](Scalar step) { m.iterate(step); });
  // Columns that only a reader of larger tiles meets.
  for (int j0 = roundUp(spec.landmarks, block); j0 < columns; j0 += block)
    k.forRange({0, count}, block, {},
               [&](Scalar i0) { m.store(k.fill(block, block, 0), result(k, pair), i0, j0); });
  return result(k, pair);
}

} // namespace nysjit
