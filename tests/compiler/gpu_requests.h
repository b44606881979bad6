// What tests of GPU compiles share: all targets, and a ptxas.
#pragma once
#include "runtime/cuda/find_ptxas.h"
#include "tests/compiler/requests.h"

#include <vector>

/// The machine's own, or the test is skipped.
#define NYSJIT_NEEDS_PTXAS(path)                                                                   \
  const Result<std::string> path = findPtxas();                                                    \
  if (!path)                                                                                       \
  GTEST_SKIP() << "skipped, no ptxas"

namespace nysjit {

inline std::vector<Target> gpuTargets() {
  std::vector<Target> targets;
  for (const TargetRow &row : targetTable())
    if (row.target.isCuda())
      targets.push_back(row.target);
  return targets;
}

} // namespace nysjit
