// A program's kernels by what the compiler says of them: those that have block sizes, and which
// there are.
#pragma once
#include "runtime/plan/plan.h"
#include "runtime/tune/tune_file.h"

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace nysjit::tune {

/// The plan of a program with these block sizes, the rest being defaults; no code is made.
using PlanMaker = std::function<Result<Plan>(const KernelConfig &)>;

/// Kernels that have block sizes, with those in use.
using KernelBlocks = std::map<std::string, BlockConfig>;

/// The kernels that there are with one kernel's `split` and `fused`, which decide that.
struct Structure {
  std::string leader;
  BlockConfig keys; // those two of the leader, as far as it has them
  KernelBlocks blocks;
};

/// What the compiler says of a spec's kernels.
struct Kernels {
  KernelBlocks defaults;
  /// Of those the ones that are not launched where a forward has saved what they compute: nobody
  /// times a backward program without that.
  std::set<std::string> idle;
  std::vector<Structure> structures; // of each leader its default, then each other one to try
  int gpuHeadDim = 0;                // head_dim where they are a GPU's kernels
};
/// Asks the compiler, once and once more for each other structure that is listed.
Result<Kernels> kernelsOf(const ParameterLists &parameters, const PlanMaker &planOf);

/// Each kernel and key of `parameters` is one of some spec's.
Status checkParameters(const ParameterLists &parameters, const std::vector<Kernels> &specs);

/// The keys that decide which kernels there are.
inline constexpr std::array structuralKeys = {&BlockConfig::split, &BlockConfig::fused};

/// The values that `parameters` list for a kernel's key; null: none.
const std::vector<int> *listedValues(const ParameterLists &parameters, const std::string &kernel,
                                     const std::string &key);
/// Whether the structure's values are among those that are listed.
bool isWanted(const ParameterLists &parameters, const Structure &structure);

} // namespace nysjit::tune
