// Lowered GPU kernels to PTX text, through LLVM's NVPTX backend.
#pragma once
#include "compiler/worker/target_info.h"
#include "runtime/base/result.h"

#include "llvm/IR/Module.h"

#include <string>

namespace nysjit {

/// Cleans up for a GPU, in place.
Status optimiseForGpu(llvm::Module &module, const GpuInfo &gpu);
/// PTX of all kernels in the module: they are cleaned up (unless `isOptimised`) and generated side
/// by side.
Result<std::string> generatePtx(llvm::Module &module, const GpuInfo &gpu, bool isOptimised);
/// What a kernel's PTX holds: tensor-core products, 16-byte global accesses, asynchronous copies
/// and barriers.
struct PtxCounts {
  std::string kernel;
  int64_t tensorCoreOps = 0;
  int64_t loads16b = 0;
  int64_t asyncCopies = 0;
  int64_t barriers = 0;
};
std::vector<PtxCounts> countInstructions(const std::string &ptx);

} // namespace nysjit
