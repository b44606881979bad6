// Newton and Schulz's iteration, a tile at a time in one cell.
#include "templates/inverse.h"

#include <algorithm>

namespace nysjit {

BlockConfig inverseBlocks(Program &program, const char *kernel, int landmarks, bool mayBeFew) {
  return program.blocks(kernel, {.blockM = landmarks > 32 ? 64 : 32},
                        {.hasFewCells = true, .mayHaveFewRows = mayBeFew});
}

constexpr int columnsAtOnce = 32; // of A's scores, whose rounding A+ magnifies

static int roundUp(int number, int step) { return (number + step - 1) / step * step; }

InverseWorkspace::InverseWorkspace(Program &program, const Scalar &heads, const Scalar &capacity,
                                   int blockSize, int readBlock)
    : spec(program.spec()), block(blockSize), iterations(spec.inverseIterations),
      columns(roundUp(spec.landmarks, std::max(block, readBlock))),
      matrices(
          program.buffer("inverse", {heads, 5, ceilDiv(capacity, blockSize) * blockSize, columns})),
      maximum(program.buffer("inverse_maximum", {heads, capacity})),
      mass(program.buffer("inverse_mass", {heads, capacity})) {}

void InverseMatrices::forAllTiles(const std::function<void(Scalar, Scalar)> &body) const {
  k.forRange({0, count}, block, {}, [&](Scalar i0) {
    k.forRange({0, count}, block, {}, [&](Scalar j0) { body(i0, j0); });
  });
  k.sync();
}

Tile InverseMatrices::product(const View &x, const View &y, const Scalar &i0,
                              const Scalar &j0) const {
  Tile sum = k.fill(block, block, 0);
  k.forRange({0, count}, block, {&sum}, [&](Scalar l0) {
    const Tile left = load(x, i0, l0);
    sum = dotAdd(sum, left, load(y, l0, j0), DotPrecision::Full);
  });
  return sum;
}

void InverseMatrices::multiply(const View &x, const View &y, const View &out,
                               const Finish &finish) const {
  forAllTiles(
      [&](Scalar i0, Scalar j0) { store(finish(product(x, y, i0, j0), i0, j0), out, i0, j0); });
}

/// Products may be rounded otherwise than their row's mass: a weight is 1 at most.
void InverseMatrices::storeSoftmax(const View &query, const View &key, const View &a,
                                   const View &turned) const {
  const Tile scale = logitScale(k);
  const View maxima = k.slice(k.view(maximum, {number}), 0, count);
  const View masses = k.slice(k.view(mass, {number}), 0, count);
  auto scores = [&](const View &of, const View &with, const Scalar &i0, const Scalar &j0) {
    Tile sum;
    for (int start = 0; start < of.columns; start += columnsAtOnce) {
      const int width = std::min(of.columns - start, columnsAtOnce);
      const Tile left = k.load(k.columns(of, start, width), i0, block);
      const Tile right = k.load(k.columns(with, start, width), j0, block);
      const Tile part = dot(left, transposed(right), DotPrecision::Full);
      sum = start ? sum + part : part;
    }
    return sum * scale;
  };
  k.forRange({0, count}, block, {}, [&](Scalar i0) {
    OnlineMass row(k, block);
    k.forRange({0, count}, block, row.carry(), [&](Scalar j0) {
      const Tile isThere = cols(j0 + k.iota(block)) < count;
      row.add(where(isThere, scores(query, key, i0, j0), negativeInfinity));
    });
    k.store(row.maximum, maxima, i0);
    k.store(row.mass, masses, i0);
  });
  k.sync();
  forAllTiles([&](Scalar i0, Scalar j0) {
    const Tile exists = (rows(i0 + k.iota(block)) < count) & (cols(j0 + k.iota(block)) < count);
    const Tile excess = scores(query, key, i0, j0) - rows(k.load(maxima, i0, block));
    const Tile weight = exp2(min(excess, 0.0)) * rows(1.0 / k.load(masses, i0, block));
    store(where(exists, weight, 0.0), a, i0, j0);
    const Tile across = scores(key, query, i0, j0) - cols(k.load(maxima, j0, block));
    const Tile weightAcross = exp2(min(across, 0.0)) * cols(1.0 / k.load(masses, j0, block));
    store(where(exists, weightAcross, 0.0), turned, i0, j0);
  });
}

Tile InverseMatrices::storeFirst(const View &a, const View &turned) const {
  Tile largestRow = k.number(0);
  Tile largestColumn = k.number(0);
  k.forRange({0, count}, block, {&largestRow, &largestColumn}, [&](Scalar i0) {
    Tile rowSums = k.fill(block, 0);
    Tile columnSums = k.fill(block, 0);
    k.forRange({0, count}, block, {&rowSums, &columnSums}, [&](Scalar j0) {
      rowSums = rowSums + rowSum(load(a, i0, j0));
      columnSums = columnSums + rowSum(load(turned, i0, j0));
    });
    largestRow = max(largestRow, maxOf(rowSums));
    largestColumn = max(largestColumn, maxOf(columnSums));
  });
  const Tile share = 1.0 / (largestRow * largestColumn);
  forAllTiles([&](Scalar i0, Scalar j0) { store(load(turned, i0, j0) * share, turned, i0, j0); });
  return share;
}

void InverseMatrices::storeFactors(const View &a, const View &z, const View &w, const View &p,
                                   const View &q) const {
  auto identity = [&](const Scalar &i0, const Scalar &j0) {
    const Tile isDiagonal = rows(i0 + k.iota(block)) == cols(j0 + k.iota(block));
    return where(isDiagonal, k.fill(block, block, 1), 0.0);
  };
  multiply(a, z, w, [&](const Tile &product, const Scalar &, const Scalar &) { return product; });
  multiply(w, w, p, [&](const Tile &product, const Scalar &i0, const Scalar &j0) {
    return identity(i0, j0) * 15.0 - load(w, i0, j0) * 7.0 + product;
  });
  multiply(w, p, q, [&](const Tile &product, const Scalar &i0, const Scalar &j0) {
    return identity(i0, j0) * 13.0 - product;
  });
}

void InverseMatrices::storeNext(const View &z, const View &q, const View &next) const {
  multiply(z, q, next,
           [&](const Tile &product, const Scalar &, const Scalar &) { return product * 0.25; });
}

View InverseWorkspace::invert(Kernel &k, const Scalar &number, const View &query, const View &key,
                              const Scalar &count) const {
  const InverseMatrices m{k, matrices, maximum, mass, number, count, block};
  const View a = m.matrix(0);
  m.storeSoftmax(query, key, a, m.matrix(1));
  m.storeFirst(a, m.matrix(1));
  k.forRange({0, iterations}, 1, {}, [&](Scalar step) { // from matrix 1 to 3 or back
    const View z = m.matrix(1 + step % 2 * 2);
    const View p = m.matrix(3 - step % 2 * 2);
    m.storeFactors(a, z, m.matrix(2), p, m.matrix(4));
    m.storeNext(z, m.matrix(4), p);
  });
  // Columns that only a reader of larger tiles meets.
  for (int j0 = roundUp(spec.landmarks, block); j0 < columns; j0 += block)
    k.forRange({0, count}, block, {},
               [&](Scalar i0) { m.store(k.fill(block, block, 0), result(k, number), i0, j0); });
  return result(k, number);
}

} // namespace nysjit
