// Machine code by one of several ptxas: an old one in PATH must not stop what a newer one, or the
// GPU's driver, can do.
#pragma once
#include "compiler/worker/run_ptxas.h"

#include <optional>
#include <string>
#include <vector>

namespace nysjit {

struct Assemblers {
  std::vector<std::string> paths; // to be tried in order; none: stop at PTX
  std::string variable;           // that named the only one, "" if it was found
  int limitMs = assemblerLimitMs; // of all together, from the compile's start
};

struct CubinAttempt {
  std::optional<AssembledCubin> cubin;
  std::string reason;    // without a cubin: what each said, in one line
  bool isLasting = true; // they would say so again: they are too old
};

/// The first cubin that one of them makes, or none with the reason. An Error where the PTX is
/// refused, and where the variable names something that is no ptxas.
Result<CubinAttempt> tryAssemblers(const Assemblers &assemblers, const std::string &ptx, int sm);

} // namespace nysjit
