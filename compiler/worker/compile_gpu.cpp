// The stages of a compilation for a GPU.
#include "compiler/worker/block_rules.h"
#include "compiler/worker/compilation.h"
#include "compiler/worker/gpu_plan.h"
#include "compiler/worker/pipeline.h"
#include "compiler/worker/ptx_code.h"

namespace nysjit {

namespace {

gpu::KernelOptions optionsOf(Compilation &c, const std::string &name) {
  const KernelSpec &spec = c.request.spec;
  const GpuInfo &gpu = c.gpu;
  const PlanKernel *kernel = c.planKernel(name);
  mlir::Builder builder(&c.context);
  gpu::KernelOptions options;
  options.input = spec.dtype == DType::Float32   ? builder.getF32Type()
                  : spec.dtype == DType::Float16 ? mlir::Type(builder.getF16Type())
                                                 : builder.getBF16Type();
  options.singleTf32 = spec.float32Math == Float32Math::Tf32;
  options.numWarps = kernel ? kernel->config.numWarps : std::nullopt;
  options.numStages = kernel ? kernel->config.numStages : std::nullopt;
  options.sharedLimit = gpu.sharedBytes;
  options.mayOverlap = mayOverlap(gpu);
  return options;
}

/// A kernel that needs more shared memory than a block has.
struct LargeKernel {
  std::string name;
  BlockConfig used;
  int64_t sharedBytes;
  int64_t numStages;
};

Error tooLarge(const LargeKernel &large, const GpuInfo &gpu) {
  std::string found = std::to_string(large.sharedBytes) + " bytes with";
  for (const auto &[name, value] :
       {std::pair("block_m", large.used.blockM), std::pair("block_n", large.used.blockN)})
    if (value)
      found += std::string(" ") + name + " " + std::to_string(*value) + ",";
  found += " num_stages " + std::to_string(large.numStages);
  return Error::mismatch(ErrorKind::InvalidKey, large.name,
                         "at most " + std::to_string(gpu.sharedBytes) +
                             " bytes of shared memory a block on sm_" + std::to_string(gpu.sm),
                         found);
}

/// Those of the module, without emitting any. What cannot be lowered at all is not among them: the
/// lowering says why.
std::vector<LargeKernel> largeKernels(Compilation &c) {
  const DiagnosticText unsaid(c.context);
  std::vector<LargeKernel> found;
  for (auto function : c.module->getOps<mlir::func::FuncOp>()) {
    const std::string name = function.getName().str();
    const PlanKernel *kernel = c.planKernel(name);
    const auto plan = gpu::KernelPlan::create(function, optionsOf(c, name));
    if (kernel && mlir::succeeded(plan) && plan->sharedBytes() > c.gpu.sharedBytes)
      found.push_back({name, kernel->config, plan->sharedBytes(), plan->numStages()});
  }
  return found;
}

/// The template writes tile IR and the plan. Kernels that do not fit are written alone, smaller,
/// until they do, and then the program once more.
Status writeTiles(Compilation &c) {
  GpuBlocks blocks(c.request.config);
  while (true) {
    NYSJIT_RETURN_IF_ERROR(c.writeTiles(blocks));
    if (c.request.from == Stage::Tile) // its text is what has to fit
      return {};
    std::vector<LargeKernel> large = largeKernels(c);
    if (large.empty())
      return {};
    while (!large.empty()) {
      blocks.wanted.clear();
      for (const LargeKernel &kernel : large) {
        if (!blocks.shrink(kernel.name, kernel.used))
          return tooLarge(kernel, c.gpu);
        blocks.wanted.insert(kernel.name);
      }
      NYSJIT_RETURN_IF_ERROR(c.writeTiles(blocks));
      large = largeKernels(c);
    }
    blocks.wanted.clear();
  }
}

/// Tiles become registers, shared memory and instructions of warps.
Status lower(Compilation &c) {
  const auto options = [&](const std::string &name) { return optionsOf(c, name); };
  if (mlir::failed(gpu::lowerTiles(*c.module, options, c.lowered)))
    return c.failed("lowered");
  for (const gpu::LoweredKernel &kernel : c.lowered) { // of --from tile's text
    const PlanKernel *planned = c.planKernel(kernel.name);
    if (kernel.sharedBytes > c.gpu.sharedBytes)
      return tooLarge({kernel.name, planned ? planned->config : BlockConfig(), kernel.sharedBytes,
                       kernel.numStages},
                      c.gpu);
  }
  if (mlir::failed(verified(*c.module)))
    return c.failed("lowered");
  completePlan(c.output.plan, c.lowered, c.gpu);
  return {};
}

/// And those LLVM IR.
Status translate(Compilation &c) {
  if (mlir::failed(lowerToNvvm(*c.module)))
    return c.failed("llvm");
  c.llvmModule = translateToLlvm(*c.module, c.llvmContext);
  if (!c.llvmModule)
    return c.failed("llvm");
  // On the way to PTX each kernel is optimised where its code is generated.
  return c.request.emit == Stage::Llvm ? optimiseForGpu(*c.llvmModule, c.gpu) : Status();
}

/// And that PTX.
Status generate(Compilation &c) {
  auto ptx = generatePtx(*c.llvmModule, c.gpu, c.request.from == Stage::Llvm);
  NYSJIT_RETURN_IF_ERROR(ptx);
  c.output.ptx = std::move(*ptx);
  return {};
}

Result<std::string> printPtx(Compilation &c) { return c.output.ptx; }

Status readPtx(Compilation &c) {
  c.output.ptx = c.request.fromText;
  return {};
}

/// And machine code, where there is an assembler; else the GPU's driver does it.
bool isCubinMade(const CompileRequest &request) {
  return request.emit == Stage::Cubin || !request.assemblers.paths.empty();
}

Status makeCubin(Compilation &c) {
  if (c.request.assemblers.paths.empty())
    return Error::mismatch(ErrorKind::Unavailable, "--emit cubin",
                           "ptxas ($NYSJIT_PTXAS, $CUDA_HOME, PATH or pip's nvidia packages)",
                           "none");
  Assemblers assemblers = c.request.assemblers;
  for (const auto &[stage, ms] : c.output.stageMs) // the limit is the whole compile's
    assemblers.limitMs -= static_cast<int>(ms);
  Result<CubinAttempt> attempt = tryAssemblers(assemblers, c.output.ptx, c.gpu.sm);
  NYSJIT_RETURN_IF_ERROR(attempt);
  if (!attempt->cubin && c.request.emit == Stage::Cubin)
    return Error::mismatch(ErrorKind::CompileFailed, "--emit cubin", "a ptxas that takes the PTX",
                           attempt->reason);
  if (!attempt->cubin) {
    c.output.note = "no cubin, the GPU's driver is to compile the PTX: " + attempt->reason;
    c.output.isNoteLasting = attempt->isLasting;
    return {};
  }
  c.output.binary = std::move(attempt->cubin->cubin);
  c.resources = std::move(attempt->cubin->kernels);
  return {};
}

Result<std::string> printCubin(Compilation &c) { return c.output.binary; }

/// What is assembled is the PTX, always.
Status readCubin(Compilation &) { return {}; }

Status describe(Compilation &c) {
  c.output.kernels = describeKernels(c.output.plan, c.output.ptx, c.resources);
  if (c.output.kernels.size() < c.output.plan.kernels.size())
    return Error::mismatch(ErrorKind::InvalidFile, "ptx", "every kernel of the plan",
                           std::to_string(c.output.kernels.size()) + " of them");
  return {};
}

constexpr StageRow rows[] = {
    {Stage::Tile, writeTiles, printModule, readTiles, nullptr, /*alwaysRuns=*/true},
    {Stage::Lowered, lower, printModule, readLowered, nullptr, /*alwaysRuns=*/true},
    {Stage::Plan, nullptr, printPlan, readPlan, isPlanAsked},
    {Stage::Llvm, translate, printLlvm, readLlvm},
    {Stage::Ptx, generate, printPtx, readPtx},
    {Stage::Cubin, makeCubin, printCubin, readCubin, isCubinMade,
     /*alwaysRuns=*/true},
};

} // namespace

constinit const StageTable gpuStages{rows, describe};

} // namespace nysjit
