// The GPU's part of a plan.
#include "compiler/worker/gpu_plan.h"
#include "compiler/worker/ptx_code.h"

#include <algorithm>

namespace nysjit {

using gpu::LoweredKernel;

bool mayOverlap(const GpuInfo &gpu) { return gpu.sm >= 90; }

/// That all tensors of whose rows the kernel loads or stores tiles are aligned, each by a symbol.
static Expression isAligned(Plan &plan, const PlanKernel &kernel, const LoweredKernel &lowered) {
  Expression aligned(1);
  for (unsigned number : lowered.alignedParameters)
    for (PlanArgument &argument : plan.arguments)
      if (number < kernel.parameters.size() && kernel.parameters[number].memory == argument.name) {
        argument.alignmentSymbol = argument.name + "_alignment";
        aligned = Expression::make(
            Operator::Min,
            {aligned,
             Expression::make(Operator::Le,
                              {Expression(16), Expression::symbol(argument.alignmentSymbol)})});
      }
  return aligned;
}

static PlanLaunch launchOf(const Plan &plan, const std::string &kernel) {
  PlanLaunch found;
  for (const PlanLaunch &launch : plan.launches)
    if (launch.kernel == kernel)
      found = launch;
  return found;
}

void completePlan(Plan &plan, const std::vector<LoweredKernel> &lowered, const GpuInfo &gpu) {
  std::vector<PlanKernel> kernels;
  std::vector<PlanLaunch> launches;
  for (PlanKernel &kernel : plan.kernels) {
    const auto found = std::ranges::find(lowered, kernel.name, &LoweredKernel::name);
    if (found == lowered.end())
      continue; // not in --from tile's text
    kernel.blockThreads = found->threads;
    kernel.sharedBytes = found->sharedBytes;
    kernel.mayOverlap = mayOverlap(gpu);
    kernel.config.numWarps = static_cast<int>(found->numWarps);
    kernel.config.numStages = static_cast<int>(found->numStages);
    kernels.push_back(kernel);
    const PlanLaunch launch = launchOf(plan, kernel.name);
    if (found->unaligned.empty()) {
      launches.push_back(launch);
      continue;
    }
    PlanKernel variant = kernel;
    variant.name = found->unaligned;
    kernels.push_back(variant);
    const Expression aligned = isAligned(plan, kernel, *found);
    const bool isAlways = launch.when == Expression(1);
    auto also = [&](const Expression &condition) {
      return isAlways ? condition : Expression::make(Operator::Min, {launch.when, condition});
    };
    launches.push_back({kernel.name, launch.grid, also(aligned)});
    launches.push_back(
        {variant.name, launch.grid, also(Expression::make(Operator::Not, {aligned}))});
  }
  plan.kernels = std::move(kernels);
  plan.launches = std::move(launches);
}

Json describeKernels(const Plan &plan, const std::string &ptx,
                     const std::vector<KernelResources> &resources) {
  Json described = Json::array();
  for (const PtxCounts &counts : countInstructions(ptx)) {
    const auto kernel = std::ranges::find(plan.kernels, counts.kernel, &PlanKernel::name);
    const auto found = std::ranges::find(resources, counts.kernel, &KernelResources::name);
    const bool isKnown = found != resources.end();
    described.push_back({{"name", counts.kernel},
                         {"registers", isKnown ? Json(found->registers) : Json()},
                         {"spill_bytes", isKnown ? Json(found->spillBytes) : Json()},
                         {"shared_bytes", (kernel != plan.kernels.end() ? kernel->sharedBytes : 0) +
                                              (isKnown ? found->sharedBytes : 0)},
                         {"tensor_core_ops", counts.tensorCoreOps},
                         {"loads_16b", counts.loads16b},
                         {"async_copies", counts.asyncCopies},
                         {"barriers", counts.barriers}});
  }
  return described;
}

} // namespace nysjit
