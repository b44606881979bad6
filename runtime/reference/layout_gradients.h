// The gradient of each layout, for one head of one sequence: what the output's gradient makes of
// the rows and of learned landmarks. Convolution and heads are gradients.cpp's.
#pragma once
#include "runtime/reference/layouts.h"

namespace nysjit::reference {

/// Gradients of a LayoutInput, each of the shape of what it is the gradient of.
struct HeadGradient {
  Matrix q;
  Matrix k;
  Matrix v;
  Matrix learnedQ;
  Matrix learnedK;
  /// Zeros.
  explicit HeadGradient(const LayoutInput &input);
};

// One function a row of the table of layouts, named after the layout's own: exactCausalGradient and
// so on. `dout` is [n, d].
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  HeadGradient function##Gradient(const LayoutInput &input, const Matrix &dout);
#include "runtime/spec/layouts.def"

/// Of `causal` with landmark_source learned.
HeadGradient causalOfProbesGradient(const LayoutInput &input, const Matrix &dout);

} // namespace nysjit::reference
