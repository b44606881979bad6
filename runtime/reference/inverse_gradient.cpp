// Gradients of the iterated inverse, bidirectional and prefix_lm in float64.
#include "runtime/reference/inverse_gradient.h"
#include "runtime/reference/softmax_gradient.h"
#include "runtime/reference/target_gradient.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace nysjit::reference {

/// Through Z_0 = A^T / (largest column sum * largest row sum): adds to A's.
static void addNormsGradient(const Matrix &a, const Matrix &first, const Matrix &dfirst,
                             Matrix &da) {
  const int64_t m = a.rows;
  std::vector<double> columns(size_t(m), 0.0);
  std::vector<double> rows(size_t(m), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) {
      rows[size_t(i)] += a(i, j);
      columns[size_t(j)] += a(i, j);
    }
  const auto column = std::max_element(columns.begin(), columns.end());
  const auto row = std::max_element(rows.begin(), rows.end());
  addTo(da, 1 / (*column * *row), transpose(dfirst));
  // Each norm divides all of Z_0, and is the sum of one column or row of A.
  const double product = dot(dfirst.row(0), first.row(0), m * m);
  for (int64_t i = 0; i < m; ++i) {
    da(i, column - columns.begin()) -= product / *column;
    da(row - rows.begin(), i) -= product / *row;
  }
}

Matrix newtonSchulzGradient(const Matrix &a, const std::vector<Matrix> &steps, Matrix dinverse) {
  Matrix dz = std::move(dinverse);
  Matrix da(a.rows, a.columns);
  for (size_t step = steps.size() - 1; step-- > 0;) {
    // W = A Z, P = 15 I - 7 W + W W = 15 I - W (7 I - W), Q = 13 I - W P, Z' = 1/4 Z Q
    const Matrix &z = steps[step];
    const Matrix w = multiply(a, z);
    const Matrix p = minusFrom(15, multiply(w, minusFrom(7, w)));
    const Matrix q = minusFrom(13, multiply(w, p));
    Matrix dq = multiply(transpose(z), dz);
    for (double &value : dq.values)
      value *= 0.25;
    const Matrix minusDp = multiply(transpose(w), dq);
    Matrix dw(a.rows, a.columns);
    addTo(dw, -1, multiply(dq, transpose(p)));
    addTo(dw, 7, minusDp);
    addTo(dw, -1, multiply(minusDp, transpose(w)));
    addTo(dw, -1, multiply(transpose(w), minusDp));
    Matrix before = multiply(transpose(a), dw);
    addTo(before, 0.25, multiply(dz, transpose(q)));
    addTo(da, 1, multiply(dw, transpose(z)));
    dz = std::move(before);
  }
  if (a.rows > 0)
    addNormsGradient(a, steps.front(), dz, da);
  return da;
}

Source makeSource(const LayoutInput &input, int64_t length) {
  const Head &head = input.head;
  const int64_t m = (length + input.segmentLen - 1) / input.segmentLen;
  Source source;
  source.length = length;
  source.qtilde = segmentMeans(head.q.slice(0, length), input.segmentLen, m);
  source.ktilde = segmentMeans(head.k.slice(0, length), input.segmentLen, m);
  source.a = softmaxScores(source.qtilde, source.ktilde, head.scale);
  source.steps = newtonSchulzSteps(source.a, input.spec.inverseIterations);
  source.bv = multiply(softmaxScores(source.qtilde, head.k.slice(0, length), head.scale),
                       head.v.slice(0, length));
  source.u = multiply(source.steps.back(), source.bv);
  return source;
}

/// Rows F U of the source: those of q, of ktilde and of U.
static void addSourceRows(const LayoutInput &input, const Source &source, const Matrix &dout,
                          Matrix &dktilde, Matrix &du, HeadGradient &out) {
  const Head &head = input.head;
  for (int64_t i = 0; i < source.length; ++i)
    addRowGradient(head.q.row(i), dout.row(i), head.scale,
                   {{source.ktilde, source.u, dktilde, du, 0, source.u.rows}}, out.q.row(i));
}

/// From the landmarks, which are means, to q and k.
static void addMeans(const LayoutInput &input, const Source &source, const Matrix &dqtilde,
                     const Matrix &dktilde, HeadGradient &out) {
  for (int64_t g = 0; g < source.u.rows; ++g) {
    const int64_t begin = g * input.segmentLen;
    const int64_t end = std::min(begin + input.segmentLen, source.length);
    addMeanGradient(dqtilde.row(g), begin, end, out.q);
    addMeanGradient(dktilde.row(g), begin, end, out.k);
  }
}

void addSourceGradient(const LayoutInput &input, const Source &source, const Matrix &dout,
                       Matrix du, HeadGradient &out) {
  const Head &head = input.head;
  Matrix dqtilde(source.u.rows, head.q.columns);
  Matrix dktilde(source.u.rows, head.q.columns);
  addSourceRows(input, source, dout, dktilde, du, out);
  // U = A+ (B V), first through A.
  const Matrix dinverse = multiply(du, transpose(source.bv));
  const Matrix da = newtonSchulzGradient(source.a, source.steps, dinverse);
  addScoresGradient(source.qtilde, source.ktilde, head.scale, source.a, da, dqtilde, dktilde);
  // Then through B.
  const Matrix dbv = multiply(transpose(source.steps.back()), du);
  for (int64_t g = 0; g < source.u.rows; ++g)
    addRowGradient(source.qtilde.row(g), dbv.row(g), head.scale,
                   {{head.k, head.v, out.k, out.v, 0, source.length}}, dqtilde.row(g));
  addMeans(input, source, dqtilde, dktilde, out);
}

HeadGradient bidirectionalGradient(const LayoutInput &input, const Matrix &dout) {
  HeadGradient out(input);
  const Source source = makeSource(input, input.head.length());
  addSourceGradient(input, source, dout, Matrix(source.u.rows, source.u.columns), out);
  return out;
}

/// The landmarks of the source, then those of the target.
static Landmarks prefixLandmarks(const LayoutInput &input) {
  const LandmarkWeight weight = input.spec.landmarkWeight;
  Landmarks all = makeLandmarks(input.head, 0, input.sourceLen, input.segmentLen,
                                /*keepShort=*/true, weight);
  const Landmarks target = makeLandmarks(input.head, input.sourceLen, input.head.length(),
                                         input.segmentLen, /*keepShort=*/false, weight);
  for (Matrix Landmarks::*part : {&Landmarks::qtilde, &Landmarks::khat, &Landmarks::pool}) {
    std::vector<double> &values = (all.*part).values;
    values.insert(values.end(), (target.*part).values.begin(), (target.*part).values.end());
    (all.*part).rows += target.count();
  }
  all.c.insert(all.c.end(), target.c.begin(), target.c.end());
  all.begin.insert(all.begin.end(), target.begin.begin(), target.begin.end());
  all.end.insert(all.end.end(), target.end.begin(), target.end.end());
  return all;
}

/// Adds the gradient of the target's rows; returns that of the source's U.
static Matrix addTarget(const LayoutInput &input, const Source &source, const Matrix &dout,
                        HeadGradient &out) {
  const Landmarks landmarks = prefixLandmarks(input);
  const auto borders = [&](int64_t i) {
    const int64_t segment = (i - input.sourceLen) / input.segmentLen;
    return RowBorders{source.u.rows + segment, input.sourceLen + segment * input.segmentLen};
  };
  const TargetRows rows{input.sourceLen, landmarks, input.spec.landmarkWeight, source.u, borders};
  return addTargetGradient(input, rows, dout, out);
}

HeadGradient prefixLmGradient(const LayoutInput &input, const Matrix &dout) {
  HeadGradient out(input);
  const Source source = makeSource(input, input.sourceLen);
  addSourceGradient(input, source, dout, addTarget(input, source, dout, out), out);
  return out;
}

Matrix roundingOfProduct(const Matrix &x, const Matrix &y) {
  std::minstd_rand signs(1);
  Matrix out(x.rows, y.rows);
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < y.rows; ++j) {
      for (int64_t l = 0; l < x.columns; ++l)
        out(i, j) += 0x1p-24 * std::abs(x(i, l) * y(j, l));
      if (signs() % 2)
        out(i, j) = -out(i, j);
    }
  return out;
}

HeadGradient roundingOfInverse(const LayoutInput &input, const Matrix &dout) {
  if (input.spec.layout == Layout::Scan)
    return roundingOfScan(input, dout);
  const bool hasTarget = input.spec.layout == Layout::PrefixLm;
  const Source source = makeSource(input, hasTarget ? input.sourceLen : input.head.length());
  Matrix dqtilde(source.u.rows, input.head.q.columns);
  Matrix dktilde = dqtilde;
  Matrix du = dqtilde;
  HeadGradient others(input);
  if (hasTarget)
    du = addTarget(input, source, dout, others);
  addSourceRows(input, source, dout, dktilde, du, others);
  dktilde = dqtilde;
  const Matrix da = newtonSchulzGradient(source.a, source.steps, roundingOfProduct(du, source.bv));
  addScoresGradient(source.qtilde, source.ktilde, input.head.scale, source.a, da, dqtilde, dktilde);
  HeadGradient out(input);
  addMeans(input, source, dqtilde, dktilde, out);
  return out;
}

} // namespace nysjit::reference
