// The depthwise convolution of V that layouts add to their output, and its gradient, of one head of
// one sequence.
#pragma once
#include "runtime/reference/matrix.h"
#include "runtime/spec/spec.h"

namespace nysjit::reference {

/// Adds it to `out`. Centred for bidirectional: O_i += sum_r w_r v_{i - r + floor(c / 2)}; else
/// looking back only: O_i += sum_r w_r v_{i - r}.
void addConvolution(Matrix &out, const Matrix &v, const double *taps, const KernelSpec &spec);

/// Adds to the gradients of V and of the taps what the output's gradient `dout` makes of them.
void addConvolutionGradient(const Matrix &dout, const Matrix &v, const double *taps,
                            const KernelSpec &spec, Matrix &dv, double *dtaps);

} // namespace nysjit::reference
