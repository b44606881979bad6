// T4, the results of a tune as other tuners write and read them: version 1.1.0 of the schema of
// AutoTuningAssociation/autotuning_methodology (src/autotuning_methodology/schemas/T4.json), which
// what reads Kernel Tuner's 1.0.0 reads, too. Where those two have a name each for one thing, both
// are written.
#pragma once
#include "runtime/base/json.h"

#include <string>
#include <vector>

namespace nysjit::tune {

/// One file. `name` has no folder: "0-causal-float32-threads2-landmark_target-shape1.json", with
/// the number of the spec and target in the journal, and that of the shape in TUNE.json.
struct T4Document {
  std::string name;
  Json object;
};

/// One document for each spec with a number of threads, group and shape that has results, from a
/// journal's lines (readJournal). The default's two arms are results, the first ones; candidates
/// that were neither timed nor found invalid are none. `version`: nysjit's. The same lines give the
/// same documents.
std::vector<T4Document> t4Documents(const std::vector<Json> &lines, const std::string &version);

} // namespace nysjit::tune
