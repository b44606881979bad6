// Columns of blocks of several levels, one level after the other (templates/probe_columns.h): which
// comparisons with the first column of a level are never with that one.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

namespace nysjit::conformance {

/// A column against the first of a level, where all that follows from it is for columns that there
/// are: whatever the number of segments is, either the level begins at the end of all columns, or
/// at one that this is not.
bool isNeverTheFirstOfALevel(const PtxText &ptx, const Mutation &mutation,
                             const ProgramFacts &facts);

} // namespace nysjit::conformance
