// Numbers that are computed anew for each query head, and the same for all that share a key head.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

namespace nysjit::conformance {

/// Whether registers `a` and `b` of `line`'s kernel hold the same number: the same instructions
/// computed them, of the same numbers, or of the sequences of two such heads. Inputs in memory stay
/// what they are.
bool areSameForHeads(const PtxText &ptx, size_t line, const std::string &a, const std::string &b,
                     const ProgramFacts &facts);

} // namespace nysjit::conformance
