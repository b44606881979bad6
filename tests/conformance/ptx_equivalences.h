// Mutations that leave the program as it was, by rule: each says why, and holds for what the reason
// holds for.
#pragma once
#include "runtime/plan/plan.h"
#include "tests/conformance/ptx_values.h"

#include <optional>

namespace nysjit::conformance {

/// What the rules know beside the text.
struct ProgramFacts {
  const Plan &plan;
  int64_t window;                          // of the spec
  std::vector<int64_t> lengths;            // the kernel ran on
  const std::vector<Alternatives> &values; // of the kernel
};

/// Why a mutation cannot be noticed; elsewhere than at the lengths that were tried, if not
/// `isAnywhere`.
struct Equivalence {
  const char *reason;
  bool isAnywhere = true;
};
std::optional<Equivalence> equivalenceOf(const PtxText &ptx, const Mutation &mutation,
                                         const ProgramFacts &facts);

} // namespace nysjit::conformance
