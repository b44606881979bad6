// The stages of a compilation for the CPU.
#include "compiler/lowering/cpu/lower_tiles.h"
#include "compiler/worker/block_rules.h"
#include "compiler/worker/compilation.h"
#include "compiler/worker/linker.h"
#include "compiler/worker/object_code.h"
#include "compiler/worker/pipeline.h"

#include "llvm/Object/ELFObjectFile.h"

#include <algorithm>

namespace nysjit {

namespace {

Status writeTiles(Compilation &c) { return c.writeTiles(CpuBlocks(c.cpu.vectorBits)); }

/// Tiles become loops over vectors and a thread's scratch.
Status lower(Compilation &c) {
  std::map<std::string, int64_t> scratch;
  if (mlir::failed(cpu::lowerTiles(*c.module, c.cpu.shape, scratch)) ||
      mlir::failed(verified(*c.module)))
    return c.failed("lowered");
  for (PlanKernel &kernel : c.output.plan.kernels)
    kernel.scratchBytes = scratch[kernel.name];
  return {};
}

/// Loops become LLVM IR.
Status translate(Compilation &c) {
  if (mlir::failed(lowerToLlvm(*c.module)))
    return c.failed("llvm");
  c.llvmModule = translateToLlvm(*c.module, c.llvmContext);
  if (!c.llvmModule)
    return c.failed("llvm");
  // On the way to an object each kernel is optimised where its code is generated.
  return c.request.emit == Stage::Llvm ? optimise(*c.llvmModule, c.cpu) : Status();
}

/// A text given with --from llvm is.
bool isOptimised(const Compilation &c) { return c.request.from == Stage::Llvm; }

bool isAssemblyAsked(const CompileRequest &request) {
  return request.emit == Stage::Asm || request.from == Stage::Asm;
}

Status writeAssembly(Compilation &c) {
  auto text = generateAssembly(*c.llvmModule, c.cpu, isOptimised(c));
  NYSJIT_RETURN_IF_ERROR(text);
  c.assembly = std::move(*text);
  return {};
}

Result<std::string> printAssembly(Compilation &c) { return c.assembly; }

Status readAssembly(Compilation &c) {
  c.assembly = c.request.fromText;
  return {};
}

/// Of the object's kernels.
void describeKernels(Compilation &c, const llvm::object::ObjectFile &file) {
  for (const llvm::object::ELFSymbolRef symbol : file.symbols()) {
    auto name = symbol.getName();
    if (!name) {
      llvm::consumeError(name.takeError());
      continue;
    }
    for (const PlanKernel &kernel : c.output.plan.kernels)
      if (*name == kernel.name)
        c.output.kernels.push_back(
            {{"name", kernel.name}, {"object_bytes", static_cast<int64_t>(symbol.getSize())}});
  }
}

/// The kernels of the object, which those of the plan are.
Status measureKernels(Compilation &c) {
  auto file =
      llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(c.object, "FILE"));
  if (!file)
    return Error::mismatch(ErrorKind::InvalidFile, "object", "an ELF object",
                           llvm::toString(file.takeError()));
  describeKernels(c, **file);
  if (c.request.from) { // a text may hold some of the kernels only
    const auto isThere = [&](const std::string &name) {
      return std::any_of(c.output.kernels.elements().begin(), c.output.kernels.elements().end(),
                         [&](const Json &kernel) { return kernel["name"] == name; });
    };
    std::erase_if(c.output.plan.kernels,
                  [&](const PlanKernel &kernel) { return !isThere(kernel.name); });
    std::erase_if(c.output.plan.launches,
                  [&](const PlanLaunch &launch) { return !isThere(launch.kernel); });
  }
  if (c.output.kernels.empty() || c.output.kernels.size() != c.output.plan.kernels.size())
    return Error::mismatch(ErrorKind::InvalidFile, "object",
                           "kernels of the plan, every one unless from a text",
                           std::to_string(c.output.kernels.size()) + " of them");
  return {};
}

/// LLVM IR becomes machine code.
Status makeObject(Compilation &c) {
  auto made = c.request.from == Stage::Asm ? assemble(c.assembly, c.cpu)
                                           : generateObject(*c.llvmModule, c.cpu, isOptimised(c));
  NYSJIT_RETURN_IF_ERROR(made);
  c.object = std::move(*made);
  return measureKernels(c);
}

Result<std::string> printObject(Compilation &c) { return c.object; }

Status readObject(Compilation &c) {
  c.object = c.request.fromText;
  return measureKernels(c);
}

/// And the object a shared object that the runtime can open.
Status link(Compilation &c) {
  return c.timed("link", [&]() -> Status {
    auto linked = linkSharedObject(c.object);
    NYSJIT_RETURN_IF_ERROR(linked);
    c.output.binary = std::move(*linked);
    return {};
  });
}

constexpr StageRow rows[] = {
    {Stage::Tile, writeTiles, printModule, readTiles, nullptr, /*alwaysRuns=*/true},
    {Stage::Lowered, lower, printModule, readLowered, nullptr, /*alwaysRuns=*/true},
    {Stage::Plan, nullptr, printPlan, readPlan, isPlanAsked},
    {Stage::Llvm, translate, printLlvm, readLlvm},
    {Stage::Asm, writeAssembly, printAssembly, readAssembly, isAssemblyAsked},
    {Stage::Object, makeObject, printObject, readObject},
};

} // namespace

constinit const StageTable cpuStages{rows, link};

} // namespace nysjit
