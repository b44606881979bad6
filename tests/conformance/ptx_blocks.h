// Rows of probes' blocks, as query rows choose them.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

namespace nysjit::conformance {

/// A row against the end of all: of some block b of 2^l of N segments, where (b + 1) 2^l <= N, the
/// row is below the end, 2 N times the rows of a block; where not, below 0.
bool isRowOfCompleteBlock(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts);

} // namespace nysjit::conformance
