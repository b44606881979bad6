// The layouts of one head of one sequence in float64, each the formula of the mathematics page in
// the plainest loops. All return O [n, d]. Convolution and heads are reference.cpp's.
#pragma once
#include "runtime/reference/landmarks.h"

namespace nysjit::reference {

/// What a layout is computed of.
struct LayoutInput {
  const Head &head;
  const KernelSpec &spec;
  int64_t segmentLen = 1;
  int64_t sourceLen = 0; // prefix_lm
  Matrix learnedQ;       // scan, learned: [m, d]; causal, learned: the probes [r, d]
  Matrix learnedK;
};

// One function a row of the table of layouts:
//   exactCausal    softmax(tau Q K^T + M) V
//   causal         near positions exact, far segments as landmarks: one joint softmax
//   bidirectional  F A+ (B V), no masks
//   segmentCausal  three matrices, lower triangular by segment; A U = B V by the stabilized solve
//   prefixLm       sourceLen positions seen by all, then the target, causal
//   scan           running sums under landmarks that do not depend on the input (learned) or on the
//                  first k only
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  Matrix function(const LayoutInput &input);
#include "runtime/spec/layouts.def"

/// `causal` with landmark_source learned: far blocks are seen through probes.
Matrix causalOfProbes(const LayoutInput &input);

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
