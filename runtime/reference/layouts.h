// The layouts of one head of one sequence in float64, each the formula of the mathematics page in
// the plainest loops. All return O [n, d]. Convolution and heads are reference.cpp's.
#pragma once
#include "runtime/reference/landmarks.h"

namespace nysjit::reference {

/// softmax(tau Q K^T + M) V
Matrix exactCausal(const Head &head);
/// Near positions exact, far segments as landmarks: one joint softmax.
Matrix causal(const Head &head, const KernelSpec &spec, int64_t segmentLen);
/// F A+ (B V), no masks.
Matrix bidirectional(const Head &head, const KernelSpec &spec, int64_t segmentLen);
/// Three matrices, lower triangular by segment; A U = B V by the stabilized solve.
Matrix segmentCausal(const Head &head, const KernelSpec &spec, int64_t segmentLen);
/// sourceLen positions seen by all, then the target, causal.
Matrix prefixLm(const Head &head, const KernelSpec &spec, int64_t segmentLen, int64_t sourceLen);
/// Running sums under landmarks that do not depend on the input (learned) or on the first k only.
Matrix scan(const Head &head, const KernelSpec &spec, const Matrix &learnedQ,
            const Matrix &learnedK);

/// The weights that make up row i of `causal`: near [n, n] and far [n, landmarks], each row's total
/// 1.
struct CausalWeights {
  Matrix near;
  Matrix far;
  Landmarks landmarks;
};
CausalWeights causalWeights(const Head &head, const KernelSpec &spec, int64_t segmentLen);
/// softmax(tau Q K^T + M) [n, n].
Matrix exactWeights(const Head &head);

} // namespace nysjit::reference
