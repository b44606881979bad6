// The float64 reference of the backward pass: gradients of every layout, for the same inputs as the
// output's reference. Written out (docs/mathematics.md, "Gradients"), in plain loops, one thread;
// memory O(n m) for a head, time as the output's.
#pragma once
#include "runtime/reference/reference.h"

#include <string_view>
#include <vector>

namespace nysjit::reference {

/// Gradients of the sum of O * dout over all elements, each in the layout of what it is the
/// gradient of. Those of inputs that the spec does not have are empty. Rows outside every sequence
/// are 0.
struct Gradients {
  std::vector<double> q;
  std::vector<double> k;
  std::vector<double> v;
  std::vector<double> landmarkQ; // summed over sequences, as landmark_k's and conv's
  std::vector<double> landmarkK;
  std::vector<double> conv;
  double doutNorm = 0; // ||dout|| over the sequences' rows
};

/// The member that holds a gradient, by its tensor's name: "dq", "dk", "dv", "dlandmark_q",
/// "dlandmark_k", "dconv"; null for any other.
std::vector<double> Gradients::*gradientTensor(std::string_view name);

/// All of them. `input.dout`, in q's layout, is read in the sequences' rows alone. Errors are
/// compute()'s.
Result<Gradients> gradients(const ReferenceInput &input);

/// What a unit of float32's rounding of the gradients that are products with A+ makes of q's and
/// k's (bidirectional, prefix_lm) and the landmarks' (scan); other layouts' are zeros.
Result<Gradients> roundingOfInverse(const ReferenceInput &input);

} // namespace nysjit::reference
