// Gradients through a softmax: of its logits, and of a row that sums values under it.
#pragma once
#include "runtime/reference/matrix.h"

#include <initializer_list>

namespace nysjit::reference {

/// dX_j = P_j (dP_j - sum over l of P_l dP_l), for P = softmax(X).
std::vector<double> softmaxGradient(const std::vector<double> &p, const std::vector<double> &dp);

/// For `weights` = softmax(scale a b^T), row by row: adds to the gradients of a and b what
/// `dweights` makes of them.
void addScoresGradient(const Matrix &a, const Matrix &b, double scale, const Matrix &weights,
                       const Matrix &dweights, Matrix &da, Matrix &db);

/// Rows [begin, end) of keys and values that a query sees, with logits scale q.key + bias, and
/// where their gradients are added. No bias is 0.
struct SeenRows {
  const Matrix &keys;
  const Matrix &values;
  Matrix &dkeys;
  Matrix &dvalues;
  int64_t begin;
  int64_t end;
  const std::vector<double> *bias = nullptr;
  std::vector<double> *dbias = nullptr;
};

/// For o = the mean of all seen values under one softmax: adds to the gradients of the query and of
/// what it sees what `dout`, the gradient of o, makes of them.
void addRowGradient(const double *query, const double *dout, double scale,
                    std::initializer_list<SeenRows> seen, double *dquery);

} // namespace nysjit::reference
