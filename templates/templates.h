// The templates: one tile program a layout. Each reads the spec and the block sizes, never the
// target.
#pragma once
#include "compiler/tile/builder/program.h"

namespace nysjit {

#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  void function(Program &program);
#include "runtime/spec/layouts.def"

/// Runs the template of the program's layout.
void buildTemplate(Program &program);

} // namespace nysjit
