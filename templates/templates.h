// The templates: one tile program a layout. Each reads the spec and the block sizes, never the
// target.
#pragma once
#include "compiler/tile/builder/program.h"

namespace nysjit {

void exactCausal(Program &program);
void causal(Program &program);
void bidirectional(Program &program);
void segmentCausal(Program &program);
void prefixLm(Program &program);
void scan(Program &program);

/// Runs the template of the program's layout.
void buildTemplate(Program &program);

} // namespace nysjit
