// Mutations that leave the program as it was, by rule: each says why, and holds for what the reason holds for.
#pragma once
#include "tests/conformance/ptx_mutations.h"

namespace nysjit::conformance {

/// The reason why a mutation that nothing noticed could not be noticed; null if none is known.
const char *equivalenceOf(const PtxText &ptx, const Mutation &mutation);

} // namespace nysjit::conformance
