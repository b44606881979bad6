// Loops over tiles of which a kernel has few turns, at every length and every first row.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

namespace nysjit::conformance {

/// In position_gradient, where a loop turns once or twice: what no turn runs, what each turn
/// computes just so, a branch that each turn takes the same way, and what nothing reads after the
/// last turn.
bool isOfNoTurn(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts);

} // namespace nysjit::conformance
