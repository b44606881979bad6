// Rows that see earlier landmarks and near positions through one softmax, and their gradient: all
// of causal and segment_causal, the target of prefix_lm.
#pragma once
#include "runtime/reference/landmark_gradients.h"

#include <functional>

namespace nysjit::reference {

/// What row i sees: landmarks [0, farCount) and positions [nearStart, i].
struct RowBorders {
  int64_t farCount;
  int64_t nearStart;
};

struct TargetRows {
  int64_t first; // rows [first, n)
  const Landmarks &landmarks;
  LandmarkWeight weight; // how they were made
  const Matrix &known;   // U of the first landmarks
  std::function<RowBorders(int64_t)> borders;
};

/// Adds the rows' gradient; returns that of `known`.
Matrix addTargetGradient(const LayoutInput &input, const TargetRows &rows, const Matrix &dout,
                         HeadGradient &out);

} // namespace nysjit::reference
