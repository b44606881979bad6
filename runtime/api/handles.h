// What the C API's handles are, for the C++ inside the library that goes past the API.
#pragma once
#include "runtime/api/context.h"
#include "runtime/include/nysjit.h"

struct nysjit_context {
  nysjit::RuntimeContext context;
};

struct nysjit_program {
  nysjit::PreparedProgram prepared;
};
