// The canonical texts of a request.
#include "runtime/spec/request.h"

namespace nysjit {

ProgramRequest::ProgramRequest(KernelSpec given, KernelConfig blocks, Target where)
    : spec(std::move(given)), config(std::move(blocks)), target(where),
      specObject(canonicalObject(spec)), configObject(canonicalObject(config)),
      specJson(canonicalText(specObject)), configJson(canonicalText(configObject)) {}

} // namespace nysjit
