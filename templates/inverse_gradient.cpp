// The iteration backwards, a tile at a time in one cell.
#include "templates/inverse_gradient.h"

namespace nysjit {

namespace {

/// Which matrix is which: A, Z_0 ... Z_T, and of a step what follows. Gradients of Z take turns in
/// the place of Z_T and the next.
enum Work { OtherZ, W, P, Q, DerivativeOfP, DerivativeOfW, DerivativeOfA, WorkCount };

View workOf(const InverseMatrices &m, int iterations, Work which) {
  return m.matrix(2 + iterations + int(which));
}

} // namespace

InverseGradient::InverseGradient(Program &program, const Scalar &heads, const Scalar &capacity,
                                 int blockSize)
    : block(blockSize), iterations(program.spec().inverseIterations) {
  const Scalar rows = ceilDiv(capacity, block) * block;
  const int columns = (program.spec().landmarks + block - 1) / block * block;
  const int count = 2 + iterations + int(WorkCount);
  matrices = program.buffer("inverse_gradient", {heads, count, rows, columns});
  maximum = program.buffer("inverse_gradient_maximum", {heads, capacity});
  mass = program.buffer("inverse_gradient_mass", {heads, capacity});
}

InverseMatrices InverseGradient::iterate(Kernel &k, const Scalar &number, const View &query,
                                         const View &key, const Scalar &count) const {
  const InverseMatrices m{k, matrices, maximum, mass, number, count, block};
  const View a = m.matrix(0);
  const View q = workOf(m, iterations, Q);
  m.storeSoftmax(query, key, a, m.matrix(1));
  m.storeFirst(a, m.matrix(1));
  k.forRange({0, iterations}, 1, {}, [&](Scalar step) {
    const View z = m.matrix(step + 1);
    m.storeFactors(a, z, workOf(m, iterations, W), workOf(m, iterations, P), q);
    m.storeNext(z, q, m.matrix(step + 2));
  });
  return m;
}

/// (dZ)^T of the step that is `turn` steps from the last.
View InverseGradient::gradientOf(const InverseMatrices &m, const Scalar &turn) const {
  return m.matrix(1 + iterations + turn % 2);
}

void InverseGradient::differentiate(const InverseMatrices &m,
                                    const std::function<Tile(Scalar, Scalar)> &tileOf) const {
  const View dA = workOf(m, iterations, DerivativeOfA);
  m.forAllTiles([&](Scalar i0, Scalar j0) {
    m.store(tileOf(i0, j0), gradientOf(m, 0), i0, j0);
    m.store(m.k.fill(block, block, 0), dA, i0, j0);
  });
  m.k.forRange({0, iterations}, 1, {}, [&](Scalar turn) { stepBack(m, turn); });
}

void InverseGradient::stepBack(const InverseMatrices &m, const Scalar &turn) const {
  const View a = m.matrix(0);
  const View z = m.matrix(iterations - turn);
  const View w = workOf(m, iterations, W);
  const View p = workOf(m, iterations, P);
  const View q = workOf(m, iterations, Q);
  const View dNext = gradientOf(m, turn);
  const View dQ = gradientOf(m, turn + 1);
  const View dP = workOf(m, iterations, DerivativeOfP);
  const View dW = workOf(m, iterations, DerivativeOfW);
  const View dA = workOf(m, iterations, DerivativeOfA);
  m.storeFactors(a, z, w, p, q);
  m.multiply(dNext, z, dQ,
             [](const Tile &product, const Scalar &, const Scalar &) { return product * 0.25; });
  m.multiply(dQ, w, dP,
             [](const Tile &product, const Scalar &, const Scalar &) { return product * -1.0; });
  m.multiply(w, dP, dW, [&](const Tile &product, const Scalar &i0, const Scalar &j0) {
    const Tile sum = product + m.product(dP, w, i0, j0) - m.product(p, dQ, i0, j0);
    return sum - m.load(dP, i0, j0) * 7.0;
  });
  const View dZ = dQ; // over it
  m.multiply(q, dNext, dZ, [&](const Tile &product, const Scalar &i0, const Scalar &j0) {
    return product * 0.25 + m.product(dW, a, i0, j0);
  });
  m.multiply(z, dW, dA, [&](const Tile &product, const Scalar &i0, const Scalar &j0) {
    return m.load(dA, i0, j0) + product;
  });
}

/// dA as it lies, over W, from its transpose and dZ_0's.
void InverseGradient::storeWeightGradient(const InverseMatrices &m) const {
  Kernel &k = m.k;
  const View a = m.matrix(0);
  const View dFirst = gradientOf(m, iterations);
  Tile largestRow = k.number(0);
  Tile alpha = k.number(0);
  Tile column = k.number(0);  // whose sum it is
  Tile product = k.number(0); // of dZ_0 and A^T
  k.forRange({0, m.count}, block, {&largestRow, &alpha, &column, &product}, [&](Scalar i0) {
    Tile rowSums = k.fill(block, 0);
    Tile columnSums = k.fill(block, 0);
    Tile products = k.fill(block, 0);
    k.forRange({0, m.count}, block, {&rowSums, &columnSums, &products}, [&](Scalar j0) {
      const Tile weights = m.load(a, i0, j0);
      rowSums = rowSums + rowSum(weights);
      products = products + rowSum(weights * m.load(dFirst, i0, j0));
      columnSums = columnSums + columnSum(m.load(a, j0, i0));
    });
    const Tile largest = maxOf(columnSums);
    const Tile here = toFloat(i0 + k.iota(block));
    const Tile first = minOf(where(columnSums >= largest, here, 1e9));
    column = where(alpha < largest, first, column);
    alpha = max(alpha, largest);
    largestRow = max(largestRow, maxOf(rowSums));
    product = product + sumOf(products);
  });
  const Tile share = 1.0 / (alpha * largestRow);
  const Tile ofColumn = product * share / alpha;
  m.forAllTiles([&](Scalar i0, Scalar j0) {
    const Tile turned = transpose(m.load(workOf(m, iterations, DerivativeOfA), j0, i0));
    const Tile isColumn = cols(toFloat(j0 + k.iota(block)) == column);
    const Tile dA = turned + m.load(dFirst, i0, j0) * share;
    m.store(where(isColumn, dA - ofColumn, dA), workOf(m, iterations, W), i0, j0);
  });
}

void InverseGradient::addTo(const InverseMatrices &m, const View &query, const View &key,
                            const View &dQuery, const View &dKey, bool isFirst) const {
  Kernel &k = m.k;
  const View a = m.matrix(0);
  const View dA = workOf(m, iterations, W);
  const View dX = workOf(m, iterations, P);
  const int headDim = query.columns;
  storeWeightGradient(m);
  k.forRange({0, m.count}, block, {}, [&](Scalar i0) {
    Tile mean = k.fill(block, 0);
    k.forRange({0, m.count}, block, {&mean},
               [&](Scalar j0) { mean = mean + rowSum(m.load(a, i0, j0) * m.load(dA, i0, j0)); });
    Tile sum = isFirst ? k.fill(block, headDim, 0) : k.load(dQuery, i0, block);
    k.forRange({0, m.count}, block, {&sum}, [&](Scalar j0) {
      const Tile logits = m.load(a, i0, j0) * (m.load(dA, i0, j0) - rows(mean));
      m.store(logits, dX, i0, j0);
      sum = dotAdd(sum, logits, k.load(key, j0, block), DotPrecision::Full);
    });
    k.store(sum, dQuery, i0);
  });
  k.sync();
  k.forRange({0, m.count}, block, {}, [&](Scalar j0) {
    Tile sum = k.load(dKey, j0, block);
    k.forRange({0, m.count}, block, {&sum}, [&](Scalar i0) {
      sum =
          dotAdd(sum, transpose(m.load(dX, i0, j0)), k.load(query, i0, block), DotPrecision::Full);
    });
    k.store(sum, dKey, j0);
  });
}

} // namespace nysjit
