// The shapes of TUNE.json.
#pragma once
#include "runtime/tune/tune_file.h"

namespace nysjit::tune {

/// `list`: the array `shapes`. Each is one that every spec can run.
Result<std::vector<TuneShape>> readShapes(const Json &list, const std::vector<KernelSpec> &specs);

} // namespace nysjit::tune
