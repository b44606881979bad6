// What a GPU's plan says beside a CPU's: threads, shared memory and variants, and what --json tells
// of its kernels.
#pragma once
#include "compiler/lowering/gpu/lower_tiles.h"
#include "compiler/worker/run_ptxas.h"
#include "compiler/worker/target_info.h"
#include "runtime/plan/plan.h"

namespace nysjit {

/// Whether kernels wait by themselves for the launch before them: griddepcontrol.
bool mayOverlap(const GpuInfo &gpu);
/// Threads and shared memory of each kernel; variants for tensors that are not aligned, chosen when
/// launched. Kernels that are not among `lowered` are left out.
void completePlan(Plan &plan, const std::vector<gpu::LoweredKernel> &lowered, const GpuInfo &gpu);
/// One object for each kernel in the PTX. Registers and spills are null where nothing was
/// assembled.
Json describeKernels(const Plan &plan, const std::string &ptx,
                     const std::vector<KernelResources> &resources);

} // namespace nysjit
