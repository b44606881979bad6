// A compilation for a GPU, stage by stage.
#include "compiler/lowering/gpu/lower_tiles.h"
#include "compiler/worker/compilation.h"
#include "compiler/worker/pipeline.h"
#include "compiler/worker/ptx_code.h"
#include "compiler/worker/run_ptxas.h"

#include <algorithm>

namespace nysjit {

namespace {

using gpu::LoweredKernel;

/// Positions a program sums where a kernel can split its sum: short enough that one sequence of
/// some 10,000 fills a GPU, long enough that the partial sums (m (d + 2) floats) are a few percent
/// of the keys and values.
constexpr int gpuSplit = 2048;

/// Block sizes that suit a GPU, which leave a thread its registers: products of float32 hold three
/// sums and two parts of each operand, and a wide head's output alone takes half of them. True if a
/// default changed.
bool preferGpuBlocks(const PlanKernel &kernel, const BlockConfig &given, const KernelSpec &spec,
                     KernelConfig &defaults) {
  const BlockConfig &used = kernel.config;
  BlockConfig &preferred = defaults.kernels[kernel.name];
  bool isChanged = false;
  auto prefer = [&](std::optional<int> BlockConfig::*key, int value) {
    if (used.*key && !(given.*key) && *(used.*key) != value) {
      preferred.*key = value;
      isChanged = true;
    }
  };
  // float16 times landmark values is tf32 (kernel_plan): float32 operands too.
  const bool isFloat32 = spec.dtype == DType::Float32;
  const bool hasTf32 = spec.dtype == DType::Float16 && spec.layout != Layout::ExactCausal;
  // Rows that are no power of two of 16 bytes take an address for each copy.
  const bool isOdd = spec.headDim > 96 && spec.headDim % 32 != 0;
  const int columns = isFloat32 && spec.headDim > 96                              ? 16
                      : isFloat32 || isOdd || spec.headDim > (hasTf32 ? 64 : 128) ? 32
                                                                                  : 64;
  if (used.blockN.value_or(0) > columns)
    prefer(&BlockConfig::blockN, columns);
  // Few programs with much to do.
  if ((kernel.name == "landmark_target" || kernel.name == "source_past") &&
      used.blockM.value_or(0) > 32)
    prefer(&BlockConfig::blockM, 32);
  // A kernel with one block size has it along both sides of its float32 products.
  if (!used.blockN && spec.headDim > 64 && used.blockM.value_or(0) > 32)
    prefer(&BlockConfig::blockM, 32);
  return isChanged;
}

/// Halves the block size that the caller has left open, columns first. False if there is none to
/// halve.
bool shrink(const PlanKernel &kernel, const BlockConfig &given, KernelConfig &defaults) {
  const BlockConfig &used = kernel.config;
  BlockConfig &smaller = defaults.kernels[kernel.name];
  if (used.blockN && !given.blockN && *used.blockN > 16)
    smaller.blockN = *used.blockN / 2;
  else if (used.blockM && !given.blockM && *used.blockM > 16)
    smaller.blockM = *used.blockM / 2;
  else
    return false;
  return true;
}

Error tooLarge(const PlanKernel &kernel, const LoweredKernel &lowered, const GpuInfo &gpu) {
  const BlockConfig &used = kernel.config;
  std::string found = std::to_string(lowered.sharedBytes) + " bytes with";
  for (const auto &[name, value] :
       {std::pair("block_m", used.blockM), std::pair("block_n", used.blockN)})
    if (value)
      found += std::string(" ") + name + " " + std::to_string(*value) + ",";
  found += " num_stages " + std::to_string(lowered.numStages);
  return Error::mismatch(ErrorKind::InvalidKey, kernel.name,
                         "at most " + std::to_string(gpu.sharedBytes) +
                             " bytes of shared memory a block on sm_" + std::to_string(gpu.sm),
                         found);
}

class GpuCompilation {
public:
  explicit GpuCompilation(Compilation &compilation)
      : c(compilation), gpu(gpuInfo(compilation.request.target)) {}

  Result<CompileOutput> run() {
    const CompileRequest &request = c.request;
    // The template writes tile IR and the plan; where a kernel does not fit, it writes them again
    // with smaller blocks.
    KernelConfig defaults;
    defaults.kernels[""].split = gpuSplit;
    for (bool isBuilt = false;; isBuilt = false) {
      while (!isBuilt) {
        NYSJIT_RETURN_IF_ERROR(c.timed("tile", [&] { return c.buildTiles(defaults); }));
        isBuilt = true;
        for (const PlanKernel &kernel : c.output.plan.kernels)
          isBuilt &= !preferGpuBlocks(kernel, given(kernel.name), request.spec, defaults);
      }
      if (request.from == Stage::Tile)
        NYSJIT_RETURN_IF_ERROR(c.parseModule("--from tile"));
      const std::string tiles = request.emit == Stage::Tile ? printed(*c.module) : "";
      // Tiles become registers, shared memory and instructions of warps.
      NYSJIT_RETURN_IF_ERROR(c.timed("lowered", [&] { return lower(); }));
      auto fits = everyKernelFits(defaults);
      NYSJIT_RETURN_IF_ERROR(fits);
      if (!*fits)
        continue;
      if (request.emit == Stage::Tile)
        return c.emitted(tiles);
      break;
    }
    completePlan();
    if (request.emit == Stage::Plan)
      return c.emitPlan();
    if (request.from == Stage::Lowered)
      NYSJIT_RETURN_IF_ERROR(c.parseModule("--from lowered"));
    if (request.emit == Stage::Lowered)
      return c.emitted(printed(*c.module));
    // And those LLVM IR, cleaned up, and PTX.
    NYSJIT_RETURN_IF_ERROR(c.timed("llvm", [&] { return translate(); }));
    if (request.emit == Stage::Llvm)
      return c.emitLlvm();
    NYSJIT_RETURN_IF_ERROR(c.timed("ptx", [&] { return generate(); }));
    if (request.emit == Stage::Ptx)
      return c.emitted(c.output.ptx);
    // And that machine code, where there is an assembler; else the GPU's driver does it.
    if (request.emit == Stage::Cubin && request.assembler.empty())
      return Error::mismatch(ErrorKind::Unavailable, "--emit cubin",
                             "ptxas ($NYSJIT_PTXAS, $CUDA_HOME, PATH or pip's nvidia packages)",
                             "none");
    if (!request.assembler.empty())
      NYSJIT_RETURN_IF_ERROR(c.timed("cubin", [&] { return assemble(); }));
    if (request.emit == Stage::Cubin)
      return c.emitted(c.output.binary);
    NYSJIT_RETURN_IF_ERROR(describeKernels());
    return std::move(c.output);
  }

private:
  BlockConfig given(const std::string &kernel) const {
    auto found = c.request.config.kernels.find(kernel);
    return found == c.request.config.kernels.end() ? BlockConfig() : found->second;
  }

  /// griddepcontrol
  bool mayOverlap() const { return gpu.sm >= 90; }

  Status lower() {
    const KernelSpec &spec = c.request.spec;
    mlir::Builder builder(&c.context);
    auto optionsOf = [&](const std::string &name) {
      gpu::KernelOptions options;
      options.input = spec.dtype == DType::Float32   ? builder.getF32Type()
                      : spec.dtype == DType::Float16 ? mlir::Type(builder.getF16Type())
                                                     : builder.getBF16Type();
      options.singleTf32 = spec.float32Math == Float32Math::Tf32;
      options.numWarps = given(name).numWarps;
      options.numStages = given(name).numStages;
      options.sharedLimit = gpu.sharedBytes;
      options.mayOverlap = mayOverlap();
      return options;
    };
    lowered.clear();
    if (mlir::failed(gpu::lowerTiles(*c.module, optionsOf, lowered)))
      return c.failed("lowered");
    return {};
  }

  const PlanKernel *planKernel(const std::string &name) const {
    for (const PlanKernel &kernel : c.output.plan.kernels)
      if (kernel.name == name)
        return &kernel;
    return nullptr;
  }

  /// False if some do not but could with smaller blocks, now in `defaults`.
  Result<bool> everyKernelFits(KernelConfig &defaults) {
    bool fits = true;
    for (const LoweredKernel &kernel : lowered) {
      if (kernel.sharedBytes <= gpu.sharedBytes)
        continue;
      const PlanKernel *plan = planKernel(kernel.name);
      if (!plan || c.request.from == Stage::Tile || !shrink(*plan, given(kernel.name), defaults))
        return tooLarge(plan ? *plan : PlanKernel{kernel.name}, kernel, gpu);
      fits = false;
    }
    return fits;
  }

  /// Threads and shared memory of each kernel; variants for tensors that are not aligned, chosen
  /// when launched.
  void completePlan() {
    Plan &plan = c.output.plan;
    std::vector<PlanKernel> kernels;
    std::vector<PlanLaunch> launches;
    std::vector<std::string> symbols; // of arguments whose alignment matters
    for (PlanKernel &kernel : plan.kernels) {
      auto found = std::find_if(lowered.begin(), lowered.end(),
                                [&](const LoweredKernel &l) { return l.name == kernel.name; });
      if (found == lowered.end())
        continue; // not in --from tile's text
      kernel.blockThreads = found->threads;
      kernel.sharedBytes = found->sharedBytes;
      kernel.mayOverlap = mayOverlap();
      kernel.config.numWarps = static_cast<int>(found->numWarps);
      kernel.config.numStages = static_cast<int>(found->numStages);
      kernels.push_back(kernel);
      const PlanLaunch *launch = nullptr;
      for (const PlanLaunch &known : plan.launches)
        if (known.kernel == kernel.name)
          launch = &known;
      if (found->unaligned.empty()) {
        launches.push_back(*launch);
        continue;
      }
      Expression aligned(1);
      for (unsigned number : found->alignedParameters)
        for (PlanArgument &argument : plan.arguments)
          if (number < kernel.parameters.size() &&
              kernel.parameters[number].memory == argument.name) {
            argument.alignmentSymbol = argument.name + "_alignment";
            aligned = Expression::make(
                Operator::Min,
                {aligned,
                 Expression::make(Operator::Le,
                                  {Expression(16), Expression::symbol(argument.alignmentSymbol)})});
          }
      PlanKernel variant = kernel;
      variant.name = found->unaligned;
      kernels.push_back(variant);
      const bool isAlways = launch->when == Expression(1);
      auto also = [&](const Expression &condition) {
        return isAlways ? condition : Expression::make(Operator::Min, {launch->when, condition});
      };
      launches.push_back({kernel.name, launch->grid, also(aligned)});
      launches.push_back(
          {variant.name, launch->grid, also(Expression::make(Operator::Not, {aligned}))});
    }
    plan.kernels = std::move(kernels);
    plan.launches = std::move(launches);
  }

  Status translate() {
    if (c.request.from == Stage::Llvm)
      return c.parseLlvm();
    if (mlir::failed(lowerToNvvm(*c.module)))
      return c.failed("llvm");
    c.llvmModule = translateToLlvm(*c.module, c.llvmContext);
    if (!c.llvmModule)
      return c.failed("llvm");
    // On the way to PTX each kernel is optimised where its code is generated.
    return c.request.emit == Stage::Llvm ? optimiseForGpu(*c.llvmModule, gpu) : Status();
  }

  Status generate() {
    if (c.request.from == Stage::Ptx) {
      c.output.ptx = c.request.fromText;
      return {};
    }
    auto ptx = generatePtx(*c.llvmModule, gpu, c.request.from == Stage::Llvm);
    NYSJIT_RETURN_IF_ERROR(ptx);
    c.output.ptx = std::move(*ptx);
    return {};
  }

  Status assemble() {
    auto assembled = assembleCubin(c.output.ptx, gpu.sm, c.request.assembler);
    NYSJIT_RETURN_IF_ERROR(assembled);
    c.output.binary = std::move(assembled->cubin);
    resources = std::move(assembled->kernels);
    return {};
  }

  /// Registers and spills are null where nothing was assembled.
  Status describeKernels() {
    for (const PtxCounts &counts : countInstructions(c.output.ptx)) {
      const PlanKernel *kernel = planKernel(counts.kernel);
      auto found = std::find_if(resources.begin(), resources.end(),
                                [&](const KernelResources &r) { return r.name == counts.kernel; });
      const bool isKnown = found != resources.end();
      c.output.kernels.push_back(
          {{"name", counts.kernel},
           {"registers", isKnown ? nlohmann::json(found->registers) : nlohmann::json()},
           {"spill_bytes", isKnown ? nlohmann::json(found->spillBytes) : nlohmann::json()},
           {"shared_bytes",
            (kernel ? kernel->sharedBytes : 0) + (isKnown ? found->sharedBytes : 0)},
           {"tensor_core_ops", counts.tensorCoreOps},
           {"loads_16b", counts.loads16b},
           {"async_copies", counts.asyncCopies},
           {"barriers", counts.barriers}});
    }
    if (c.output.kernels.size() < c.output.plan.kernels.size())
      return Error::mismatch(ErrorKind::InvalidFile, "ptx", "every kernel of the plan",
                             std::to_string(c.output.kernels.size()) + " of them");
    return {};
  }

  Compilation &c;
  const GpuInfo gpu;
  std::vector<LoweredKernel> lowered;
  std::vector<KernelResources> resources; // as ptxas counts them
};

} // namespace

Result<CompileOutput> compileForGpu(Compilation &compilation) {
  return GpuCompilation(compilation).run();
}

} // namespace nysjit
