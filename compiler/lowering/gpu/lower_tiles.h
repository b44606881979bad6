// Tile IR to GPU kernels: each kernel becomes a func.func with tile.threads, its parameters the
// source's own (pointers in global memory), a cell's number = ctaid.x, in scf, arith and llvm
// operations and nvvm intrinsics.
#pragma once
#include "compiler/lowering/gpu/kernel_plan.h"
#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>

namespace nysjit::gpu {

/// What one lowered kernel needs to be launched.
struct LoweredKernel {
  std::string name; // of the source kernel
  // its variant for tensors whose rows are not 16-byte aligned; "" if one serves all
  std::string unaligned;
  // that decide between the two: tensor arguments of whose rows it loads or stores tiles
  std::vector<unsigned> alignedParameters;
  int64_t threads = 0;
  int64_t sharedBytes = 0;
  int64_t numWarps = 0;
  int64_t numStages = 0;
};

/// Replaces the module's kernels. `optionsOf` gives each kernel's options by its name. A kernel
/// that needs more shared memory than options.sharedLimit is reported in `lowered` with what it
/// needs and left alone.
mlir::LogicalResult lowerTiles(mlir::ModuleOp module,
                               const std::function<KernelOptions(const std::string &)> &optionsOf,
                               std::vector<LoweredKernel> &lowered);

} // namespace nysjit::gpu
