// A compilation for the CPU, stage by stage.
#include "compiler/lowering/cpu/lower_tiles.h"
#include "compiler/worker/compilation.h"
#include "compiler/worker/linker.h"
#include "compiler/worker/object_code.h"
#include "compiler/worker/pipeline.h"

#include "llvm/Object/ELFObjectFile.h"

#include <algorithm>

namespace nysjit {

namespace {

Status lower(Compilation &c, const TargetInfo &target) {
  std::map<std::string, int64_t> scratch;
  if (mlir::failed(cpu::lowerTiles(*c.module, target.shape, scratch)))
    return c.failed("lowered");
  for (PlanKernel &kernel : c.output.plan.kernels)
    kernel.scratchBytes = scratch[kernel.name];
  return {};
}

Status translate(Compilation &c, const TargetInfo &target) {
  if (c.request.from == Stage::Llvm)
    return c.parseLlvm();
  if (mlir::failed(lowerToLlvm(*c.module)))
    return c.failed("llvm");
  c.llvmModule = translateToLlvm(*c.module, c.llvmContext);
  if (!c.llvmModule)
    return c.failed("llvm");
  // On the way to an object each kernel is optimised where its code is generated.
  return c.request.emit == Stage::Llvm ? optimise(*c.llvmModule, target) : Status();
}

/// A text given with --from llvm is.
bool isOptimised(const Compilation &c) { return c.request.from == Stage::Llvm; }

Status makeObject(Compilation &c, const TargetInfo &target, std::string &object) {
  if (c.request.from == Stage::Object) {
    object = c.request.fromText;
    return {};
  }
  auto made = c.request.from == Stage::Asm ? assemble(c.request.fromText, target)
                                           : generateObject(*c.llvmModule, target, isOptimised(c));
  NYSJIT_RETURN_IF_ERROR(made);
  object = std::move(*made);
  return {};
}

Status measureKernels(Compilation &c, const std::string &object) {
  auto file = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "FILE"));
  if (!file)
    return Error::mismatch(ErrorKind::InvalidFile, "object", "an ELF object",
                           llvm::toString(file.takeError()));
  for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols()) {
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
  if (c.request.from) { // a text may hold some of the kernels only
    const auto isThere = [&](const std::string &name) {
      return std::any_of(c.output.kernels.begin(), c.output.kernels.end(),
                         [&](const nlohmann::json &kernel) { return kernel["name"] == name; });
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

} // namespace

Result<CompileOutput> compileForCpu(Compilation &c) {
  const CompileRequest &request = c.request;
  const Result<TargetInfo> info = targetInfo(request.target);
  if (!info)
    return info.error();
  const TargetInfo &target = *info;
  // The template writes tile IR and the plan.
  NYSJIT_RETURN_IF_ERROR(c.timed("tile", [&] { return c.buildTiles(); }));
  if (request.from == Stage::Tile)
    NYSJIT_RETURN_IF_ERROR(c.parseModule("--from tile"));
  if (request.emit == Stage::Tile)
    return c.emitted(printed(*c.module));
  // Tiles become loops over vectors and a thread's scratch.
  NYSJIT_RETURN_IF_ERROR(c.timed("lowered", [&] { return lower(c, target); }));
  if (request.emit == Stage::Plan)
    return c.emitPlan();
  if (request.from == Stage::Lowered)
    NYSJIT_RETURN_IF_ERROR(c.parseModule("--from lowered"));
  if (request.emit == Stage::Lowered)
    return c.emitted(printed(*c.module));
  // Loops become LLVM IR, cleaned up for the target.
  NYSJIT_RETURN_IF_ERROR(c.timed("llvm", [&] { return translate(c, target); }));
  if (request.emit == Stage::Llvm)
    return c.emitLlvm();
  // LLVM IR becomes machine code.
  if (request.emit == Stage::Asm && request.from != Stage::Asm) {
    auto text = generateAssembly(*c.llvmModule, target, isOptimised(c));
    NYSJIT_RETURN_IF_ERROR(text);
    return c.emitted(*text);
  }
  if (request.emit == Stage::Asm)
    return c.emitted(request.fromText);
  std::string object;
  NYSJIT_RETURN_IF_ERROR(c.timed("object", [&] { return makeObject(c, target, object); }));
  NYSJIT_RETURN_IF_ERROR(measureKernels(c, object));
  if (request.emit == Stage::Object)
    return c.emitted(object);
  // And the object a shared object that the runtime can open.
  NYSJIT_RETURN_IF_ERROR(c.timed("link", [&]() -> Status {
    auto linked = linkSharedObject(object);
    NYSJIT_RETURN_IF_ERROR(linked);
    c.output.binary = std::move(*linked);
    return {};
  }));
  return std::move(c.output);
}

} // namespace nysjit
