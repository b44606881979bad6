// Where ptxas and its companions lie. The CUDA toolkit is not needed: pip's packages bring them,
// too.
#pragma once
#include "runtime/base/result.h"

#include <string>
#include <vector>

namespace nysjit {

/// Where `tool` ("ptxas", "nvdisasm", "cuobjdump") is looked for, in order: $CUDA_HOME/bin,
/// $CUDA_PATH/bin, PATH, and in the packages of the python3 on PATH, of $VIRTUAL_ENV, of the system
/// and of the user: nvidia/cu13/bin, nvidia/cuda_nvcc/bin, nvidia/cuda_cuobjdump/bin and
/// nvidia/cuda_nvdisasm/bin, triton/backends/nvidia/bin. Patterns of glob(7).
std::vector<std::string> cudaToolPaths(const std::string &tool);

/// The first that can be executed. Unavailable, with the places, if there is none.
Result<std::string> findCudaTool(const std::string &tool);

/// The variable that names the one ptxas to use, or "none": do not use any.
constexpr const char *ptxasVariable = "NYSJIT_PTXAS";

/// Every ptxas there is, each file once, in the order of cudaToolPaths: an older one may come first
/// and not know what a newer one does. $NYSJIT_PTXAS alone if that is set; InvalidArgument with its
/// name if it is no file that can be executed.
Result<std::vector<std::string>> findAssemblers();

/// The first of them. Unavailable, with the places, if there is none.
Result<std::string> findPtxas();

} // namespace nysjit
