// The programs of a tune without the tune: for a machine that has no compiler.
#pragma once
#include "runtime/cache/entry.h"
#include "runtime/tune/progress.h"
#include "runtime/tune/runtime_lab.h"

#include <atomic>
#include <vector>

namespace nysjit::tune {

/// Of each spec the default and all candidates, as many in a program as a lab puts there
/// (space.h); and where this journal, of a tune with these, has come to a choice, that. Compiled
/// into the user's cache. What a block of the target has not the memory for is left out, and so,
/// with a line, is what cannot be compiled. `file.target` is set.
Result<std::vector<CacheEntry>> compileCandidates(const TuneFile &file,
                                                  const std::vector<Json> &journal,
                                                  const std::atomic<int> &isEnding, Log log,
                                                  ProgressLine &progress);

} // namespace nysjit::tune
