// Gradients through a softmax, in float64.
#include "runtime/reference/softmax_gradient.h"

namespace nysjit::reference {

std::vector<double> softmaxGradient(const std::vector<double> &p, const std::vector<double> &dp) {
  double mean = 0;
  for (size_t j = 0; j < p.size(); ++j)
    mean += p[j] * dp[j];
  std::vector<double> dx(p.size());
  for (size_t j = 0; j < p.size(); ++j)
    dx[j] = p[j] * (dp[j] - mean);
  return dx;
}

void addScoresGradient(const Matrix &a, const Matrix &b, double scale, const Matrix &weights,
                       const Matrix &dweights, Matrix &da, Matrix &db) {
  for (int64_t i = 0; i < a.rows; ++i) {
    const std::vector<double> dx = softmaxGradient({weights.row(i), weights.row(i) + b.rows},
                                                   {dweights.row(i), dweights.row(i) + b.rows});
    for (int64_t j = 0; j < b.rows; ++j) {
      const double factor = scale * dx[size_t(j)];
      addTo(da.row(i), factor, b.row(j), b.columns);
      addTo(db.row(j), factor, a.row(i), a.columns);
    }
  }
}

void addRowGradient(const double *query, const double *dout, double scale,
                    std::initializer_list<SeenRows> seen, double *dquery) {
  std::vector<double> p;  // weights
  std::vector<double> dp; // and their gradients, dout.value
  for (const SeenRows &rows : seen)
    for (int64_t j = rows.begin; j < rows.end; ++j) {
      const int64_t d = rows.keys.columns;
      p.push_back(scale * dot(query, rows.keys.row(j), d) +
                  (rows.bias ? (*rows.bias)[size_t(j)] : 0));
      dp.push_back(dot(dout, rows.values.row(j), d));
    }
  softmax(p);
  const std::vector<double> dx = softmaxGradient(p, dp);
  size_t at = 0;
  for (const SeenRows &rows : seen)
    for (int64_t j = rows.begin; j < rows.end; ++j, ++at) {
      const int64_t d = rows.keys.columns;
      addTo(dquery, scale * dx[at], rows.keys.row(j), d);
      addTo(rows.dkeys.row(j), scale * dx[at], query, d);
      addTo(rows.dvalues.row(j), p[at], dout, d);
      if (rows.dbias)
        (*rows.dbias)[size_t(j)] += dx[at];
    }
}

} // namespace nysjit::reference
