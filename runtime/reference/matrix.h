// A float64 matrix and the few operations that the reference is written in: as plain as they can
// be.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace nysjit::reference {

struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(int64_t r, int64_t c) : rows(r), columns(c), values(static_cast<size_t>(r * c), 0.0) {}
  double &operator()(int64_t i, int64_t j) { return values[static_cast<size_t>(i * columns + j)]; }
  double operator()(int64_t i, int64_t j) const {
    return values[static_cast<size_t>(i * columns + j)];
  }
  const double *row(int64_t i) const { return values.data() + i * columns; }
  double *row(int64_t i) { return values.data() + i * columns; }
  /// Rows [start, start + count).
  Matrix slice(int64_t start, int64_t count) const {
    Matrix result(count, columns);
    std::copy(row(start), row(start) + count * columns, result.values.begin());
    return result;
  }
};

inline double dot(const double *a, const double *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += a[i] * b[i];
  return sum;
}

inline Matrix multiply(const Matrix &a, const Matrix &b) {
  Matrix result(a.rows, b.columns);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t k = 0; k < a.columns; ++k)
      for (int64_t j = 0; j < b.columns; ++j)
        result(i, j) += a(i, k) * b(k, j);
  return result;
}

inline Matrix transpose(const Matrix &a) {
  Matrix result(a.columns, a.rows);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j)
      result(j, i) = a(i, j);
  return result;
}

/// to += factor x, `count` numbers.
inline void addTo(double *to, double factor, const double *x, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    to[i] += factor * x[i];
}

/// to += factor x, of one shape.
inline void addTo(Matrix &to, double factor, const Matrix &x) {
  addTo(to.values.data(), factor, x.values.data(), to.rows * to.columns);
}

/// x becomes softmax(x); -infinity entries become 0. Nothing if x is empty.
inline void softmax(std::vector<double> &x) {
  double maximum = -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (double value : x)
    maximum = std::max(maximum, value);
  for (double &value : x)
    sum += value = std::exp(value - maximum);
  for (double &value : x)
    value /= sum;
}

} // namespace nysjit::reference
