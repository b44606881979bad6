// PTX to machine code by ptxas, which is no part of this project: found by the runtime, run here
// with files in a folder of its own. Needs no LLVM.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace nysjit {

/// What ptxas says of a kernel.
struct KernelResources {
  std::string name;
  int64_t registers = 0;   // of a thread
  int64_t spillBytes = 0;  // stored and loaded again, of a thread
  int64_t sharedBytes = 0; // static
};

struct AssembledCubin {
  std::string cubin;
  std::vector<KernelResources> kernels; // in the order of names
};

constexpr int assemblerLimitMs = 100000; // less than the runtime waits for a compile

/// Assembles for sm_`sm`, or for sm_90a and the like where the PTX's .target says so. Optimizations
/// that ptxas gave up (its notes C7504 to C7519: ignored register counts, serialized wgmma) are
/// CompileFailed like its errors, with its words and the line of PTX they are about. The same PTX
/// gives the same bytes.
Result<AssembledCubin> assembleCubin(const std::string &ptx, int sm, const std::string &ptxasPath,
                                     int limitMs = assemblerLimitMs);

} // namespace nysjit
