// Landmarks, the Newton-Schulz inverse and the stabilized solve, in float64.
#include "runtime/reference/landmarks.h"

#include <algorithm>

namespace nysjit::reference {

OwnSoftmax::OwnSoftmax(const Head &head, const double *query, int64_t begin, int64_t end)
    : maximum(-std::numeric_limits<double>::infinity()), mass(0) {
  for (int64_t t = begin; t < end; ++t) {
    below.push_back(head.scale * dot(query, head.k.row(t), head.k.columns));
    maximum = std::max(maximum, below.back());
  }
  for (double &x : below)
    mass += std::exp(x -= maximum);
}

Matrix segmentMeans(const Matrix &x, int64_t segmentLen, int64_t segments) {
  Matrix means(segments, x.columns);
  for (int64_t g = 0; g < segments; ++g) {
    const int64_t begin = g * segmentLen;
    const int64_t end = std::min(begin + segmentLen, x.rows);
    for (int64_t t = begin; t < end; ++t)
      for (int64_t e = 0; e < x.columns; ++e)
        means(g, e) += x(t, e) / static_cast<double>(end - begin);
  }
  return means;
}

Landmarks makeLandmarks(const Head &head, int64_t first, int64_t last, int64_t segmentLen,
                        bool keepShort, LandmarkWeight weight) {
  const int64_t d = head.q.columns;
  const int64_t positions = last - first;
  const int64_t count =
      keepShort ? (positions + segmentLen - 1) / segmentLen : positions / segmentLen;
  Landmarks result;
  result.qtilde = segmentMeans(head.q.slice(first, positions), segmentLen, count);
  result.khat = segmentMeans(head.k.slice(first, positions), segmentLen, count);
  result.pool = Matrix(count, d);
  for (int64_t g = 0; g < count; ++g) {
    const int64_t begin = first + g * segmentLen;
    const int64_t end = std::min(begin + segmentLen, last);
    result.begin.push_back(begin);
    result.end.push_back(end);
    // x_t = tau qtilde.k_t; w = softmax x; pool = sum w v
    const OwnSoftmax own(head, result.qtilde.row(g), begin, end);
    double entropy = std::log(own.mass); // c = ln z - sum w (x - max x)
    Matrix weightedKey(1, d);
    for (int64_t t = begin; t < end; ++t) {
      const double below = own.below[size_t(t - begin)];
      const double w = std::exp(below) / own.mass;
      entropy -= w * below;
      for (int64_t e = 0; e < d; ++e) {
        weightedKey(0, e) += w * head.k(t, e);
        result.pool(g, e) += w * head.v(t, e);
      }
    }
    if (weight == LandmarkWeight::Count) {
      result.c.push_back(std::log(static_cast<double>(end - begin)));
      continue;
    }
    result.c.push_back(entropy);
    std::copy(weightedKey.row(0), weightedKey.row(0) + d, result.khat.row(g));
  }
  return result;
}

Matrix minusFrom(double diagonal, Matrix x) {
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.columns; ++j)
      x(i, j) = (i == j ? diagonal : 0) - x(i, j);
  return x;
}

std::vector<Matrix> newtonSchulzSteps(const Matrix &a, int iterations) {
  const int64_t m = a.rows;
  double largestRow = 0;
  double largestColumn = 0;
  for (int64_t i = 0; i < m; ++i) {
    double row = 0;
    double column = 0;
    for (int64_t j = 0; j < m; ++j) {
      row += a(i, j);
      column += a(j, i);
    }
    largestRow = std::max(largestRow, row);
    largestColumn = std::max(largestColumn, column);
  }
  // Z_0 = A^T / (largest column sum * largest row sum)
  std::vector<Matrix> steps = {transpose(a)};
  for (double &value : steps.back().values)
    value /= largestColumn * largestRow;
  // Z <- 1/4 Z (13 I - A Z (15 I - A Z (7 I - A Z)))
  for (int step = 0; step < iterations; ++step) {
    const Matrix &z = steps.back();
    const Matrix az = multiply(a, z);
    Matrix next =
        multiply(z, minusFrom(13, multiply(az, minusFrom(15, multiply(az, minusFrom(7, az))))));
    for (double &value : next.values)
      value *= 0.25;
    steps.push_back(std::move(next));
  }
  return steps;
}

Matrix newtonSchulz(const Matrix &a, int iterations) {
  return newtonSchulzSteps(a, iterations).back();
}

Matrix softmaxScores(const Matrix &a, const Matrix &b, double scale) {
  Matrix result(a.rows, b.rows);
  for (int64_t i = 0; i < a.rows; ++i) {
    std::vector<double> row;
    for (int64_t j = 0; j < b.rows; ++j)
      row.push_back(scale * dot(a.row(i), b.row(j), a.columns));
    softmax(row);
    std::copy(row.begin(), row.end(), result.row(i));
  }
  return result;
}

std::vector<double> solveRow(const std::vector<double> &a, const Matrix &known,
                             const std::vector<double> &bv, const double *pool, double stabilizer) {
  const double diagonal = a.back();
  const double gain = diagonal / (diagonal * diagonal + stabilizer);
  std::vector<double> u(bv.size());
  for (size_t e = 0; e < u.size(); ++e) {
    double rest = bv[e] - diagonal * pool[e];
    for (size_t j = 0; j + 1 < a.size(); ++j)
      rest -= a[j] * known(static_cast<int64_t>(j), static_cast<int64_t>(e));
    u[e] = pool[e] + gain * rest;
  }
  return u;
}

std::vector<double> attend(const Head &head, const double *query, int64_t end) {
  const int64_t d = head.q.columns;
  std::vector<double> weights;
  std::vector<double> result(static_cast<size_t>(d), 0.0);
  for (int64_t t = 0; t < end; ++t)
    weights.push_back(head.scale * dot(query, head.k.row(t), d));
  softmax(weights);
  for (int64_t t = 0; t < end; ++t)
    for (int64_t e = 0; e < d; ++e)
      result[static_cast<size_t>(e)] += weights[static_cast<size_t>(t)] * head.v(t, e);
  return result;
}

} // namespace nysjit::reference
