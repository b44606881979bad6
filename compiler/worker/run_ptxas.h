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

/// Why a ptxas gave no cubin.
enum class AssemblerFault {
  Refused, // the PTX is wrong, or it gave an optimization up
  Old,     // it does not know the PTX's version or target
  Late,    // it took too long
  Broken   // it could not be started, crashed or is no ptxas
};

/// Assembles for sm_`sm`, or for sm_90a and the like where the PTX's .target says so. Optimizations
/// that ptxas gave up (its notes C7504 to C7519: ignored register counts, serialized wgmma) are
/// CompileFailed like its errors, with its words and the line of PTX they are about. The same PTX
/// gives the same bytes.
/// `fault`, where it is not null, says which it was.
Result<AssembledCubin> assembleCubin(const std::string &ptx, int sm, const std::string &ptxasPath,
                                     int limitMs = assemblerLimitMs,
                                     AssemblerFault *fault = nullptr);

/// Does its --version say that it is one?
bool isPtxas(const std::string &path);

} // namespace nysjit
