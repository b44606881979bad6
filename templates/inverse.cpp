// Newton and Schulz's iteration, block by block in one program.
#include "templates/inverse.h"

#include <algorithm>

namespace nysjit {

static int roundUp(int number, int step) { return (number + step - 1) / step * step; }

InverseWorkspace::InverseWorkspace(Program &program, const Scalar &heads, const Scalar &capacity,
                                   int blockSize, int readBlock)
    : spec(program.spec()), block(blockSize), iterations(spec.inverseIterations),
      columns(roundUp(spec.landmarks, std::max(block, readBlock))),
      matrices(
          program.buffer("inverse", {heads, 5, ceilDiv(capacity, blockSize) * blockSize, columns})),
      logMass(program.buffer("inverse_log_mass", {heads, capacity})) {}

View InverseWorkspace::invert(Kernel &k, const Scalar &pair, const View &query, const View &key,
                              const Scalar &count) const {
  const Range rowTiles{0, count};
  const Tile scale = logitScale(k);
  const View mass = k.slice(k.view(logMass, {pair}), 0, count);
  auto matrix = [&](const Scalar &slot) { return k.view(matrices, {pair, slot}); };
  auto tileOf = [&](const View &view, const Scalar &i0, const Scalar &j0) {
    return k.load(k.columns(view, j0, block), i0, block);
  };
  auto storeTile = [&](const Tile &x, const View &view, const Scalar &i0, const Scalar &j0) {
    k.store(x, k.columns(view, j0, block), i0);
  };
  auto forAllTiles = [&](const std::function<void(Scalar, Scalar)> &body) {
    k.forRange(rowTiles, block, {}, [&](Scalar i0) {
      k.forRange(rowTiles, block, {}, [&](Scalar j0) { body(i0, j0); });
    });
    k.sync();
  };
  const View a = matrix(0);

  // A = softmax(tau Qtilde Ktilde^T), and its transpose from the same products; 0 beyond the
  // landmarks there are. The products may be rounded otherwise than their row's mass: a weight is 1
  // at most.
  k.forRange(rowTiles, block, {}, [&](Scalar i0) {
    OnlineMass row(k, block);
    const Tile queries = k.load(query, i0, block);
    k.forRange(rowTiles, block, row.carry(), [&](Scalar j0) {
      row.add(where(cols(j0 + k.iota(block)) < count,
                    dotT(queries, k.load(key, j0, block), DotPrecision::Full) * scale,
                    negativeInfinity));
    });
    k.store(row.logOfMass(), mass, i0);
  });
  k.sync();
  forAllTiles([&](Scalar i0, Scalar j0) {
    const Tile exists = (rows(i0 + k.iota(block)) < count) & (cols(j0 + k.iota(block)) < count);
    const Tile scores =
        dotT(k.load(query, i0, block), k.load(key, j0, block), DotPrecision::Full) * scale;
    storeTile(where(exists, exp2(min(scores - rows(k.load(mass, i0, block)), 0.0)), 0.0), a, i0,
              j0);
    const Tile transposed =
        dotT(k.load(key, i0, block), k.load(query, j0, block), DotPrecision::Full) * scale;
    storeTile(where(exists, exp2(min(transposed - cols(k.load(mass, j0, block)), 0.0)), 0.0),
              matrix(1), i0, j0);
  });
  // Z_0 = A^T / (largest column sum * largest row sum)
  Tile largestRow = k.number(0);
  Tile largestColumn = k.number(0);
  k.forRange(rowTiles, block, {&largestRow, &largestColumn}, [&](Scalar i0) {
    Tile rowSums = k.fill(block, 0);
    Tile columnSums = k.fill(block, 0);
    k.forRange(rowTiles, block, {&rowSums, &columnSums}, [&](Scalar j0) {
      rowSums = rowSums + rowSum(tileOf(a, i0, j0));
      columnSums = columnSums + rowSum(tileOf(matrix(1), i0, j0));
    });
    largestRow = max(largestRow, maxOf(rowSums));
    largestColumn = max(largestColumn, maxOf(columnSums));
  });
  const Tile share = 1.0 / (largestRow * largestColumn);
  forAllTiles([&](Scalar i0, Scalar j0) {
    storeTile(tileOf(matrix(1), i0, j0) * share, matrix(1), i0, j0);
  });

  // Z <- 1/4 Z (13 I - A Z (15 I - A Z (7 I - A Z))): W = A Z, P = 15 I - 7 W + W W, Q = 13 I - W
  // P, Z = 1/4 Z Q over P
  auto multiply =
      [&](const View &x, const View &y, const View &out,
          const std::function<Tile(const Tile &product, const Tile &identity, Scalar, Scalar)>
              &finish) {
        forAllTiles([&](Scalar i0, Scalar j0) {
          Tile product = k.fill(block, block, 0);
          k.forRange(rowTiles, block, {&product}, [&](Scalar l0) {
            product = dotAdd(product, tileOf(x, i0, l0), tileOf(y, l0, j0), DotPrecision::Full);
          });
          const Tile i = rows(i0 + k.iota(block));
          const Tile j = cols(j0 + k.iota(block));
          const Tile identity = where((i <= j) & (i >= j), k.fill(block, block, 1), 0.0);
          storeTile(finish(product, identity, i0, j0), out, i0, j0);
        });
      };
  k.forRange({0, iterations}, 1, {}, [&](Scalar step) {
    const View z = matrix(1 + step % 2 * 2);
    const View w = matrix(2);
    const View p = matrix(3 - step % 2 * 2);
    const View q = matrix(4);
    multiply(a, z, w, [&](const Tile &product, const Tile &, Scalar, Scalar) { return product; });
    multiply(w, w, p, [&](const Tile &product, const Tile &identity, Scalar i0, Scalar j0) {
      return identity * 15.0 - tileOf(w, i0, j0) * 7.0 + product;
    });
    multiply(w, p, q, [&](const Tile &product, const Tile &identity, Scalar, Scalar) {
      return identity * 13.0 - product;
    });
    multiply(z, q, p,
             [&](const Tile &product, const Tile &, Scalar, Scalar) { return product * 0.25; });
  });
  // Columns that only a reader of larger blocks meets.
  for (int j0 = roundUp(spec.landmarks, block); j0 < columns; j0 += block)
    k.forRange(rowTiles, block, {},
               [&](Scalar i0) { storeTile(k.fill(block, block, 0), result(k, pair), i0, j0); });
  return result(k, pair);
}

} // namespace nysjit
