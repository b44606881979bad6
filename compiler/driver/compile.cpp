// One compilation, stage by stage.
#include "compiler/driver/compile.h"

#include "compiler/builder/emitter.h"
#include "compiler/cpu/lower_tiles.h"
#include "compiler/driver/object_code.h"
#include "compiler/driver/pipeline.h"
#include "templates/templates.h"

#include "mlir/Parser/Parser.h"
#include "mlir/IR/Verifier.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/SourceMgr.h"

#include <array>
#include <chrono>

namespace nysjit {

namespace {

constexpr std::array<std::pair<Stage, const char *>, 6> stageNames = {{{Stage::Tile, "tile"},
                                                                         {Stage::Lowered, "lowered"},
                                                                         {Stage::Llvm, "llvm"},
                                                                         {Stage::Asm, "asm"},
                                                                         {Stage::Object, "object"},
                                                                         {Stage::Plan, "plan"}}};

/// Appends "file:line: error: text" of every diagnostic while it lives.
class DiagnosticText {
public:
  explicit DiagnosticText(mlir::MLIRContext &context)
      : handler(&context, [this](mlir::Diagnostic &diagnostic) {
          llvm::raw_string_ostream stream(text);
          if (!text.empty())
            stream << "; ";
          diagnostic.getLocation()->print(stream);
          stream << ": " << diagnostic;
          return mlir::success();
        }) {}
  std::string text;

private:
  mlir::ScopedDiagnosticHandler handler;
};

std::string printed(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::OpPrintingFlags flags;
  module.print(stream, flags.enableDebugInfo(true, false));
  return text + "\n";
}

class Compilation {
public:
  explicit Compilation(const CompileRequest &request)
      : request(request), target(targetInfo(request.target)), context(mlir::MLIRContext::Threading::DISABLED), diagnostics(context) {
    loadDialects(context);
  }

  Result<CompileOutput> run() {
    // The template writes tile IR and the plan.
    Status status = timed("tile", [&] { return buildTiles(); });
    NYSJIT_RETURN_IF_ERROR(status);
    if (request.from == Stage::Tile)
      NYSJIT_RETURN_IF_ERROR(parseModule("--from tile"));
    if (request.emit == Stage::Tile)
      return emitted(printed(*module));
    // Tiles become loops over vectors and a thread's scratch.
    status = timed("lowered", [&] { return lower(); });
    NYSJIT_RETURN_IF_ERROR(status);
    if (request.emit == Stage::Plan)
      return emitPlan();
    if (request.from == Stage::Lowered)
      NYSJIT_RETURN_IF_ERROR(parseModule("--from lowered"));
    if (request.emit == Stage::Lowered)
      return emitted(printed(*module));
    // Loops become LLVM IR, cleaned up for the target.
    status = timed("llvm", [&] { return translate(); });
    NYSJIT_RETURN_IF_ERROR(status);
    if (request.emit == Stage::Llvm) {
      // The order of uses steers code generation: with it, --from llvm gives the bytes of the direct way.
      llvm::raw_string_ostream stream(output.emitted);
      llvmModule->print(stream, nullptr, /*ShouldPreserveUseListOrder=*/true);
      return std::move(output);
    }
    // LLVM IR becomes machine code.
    if (request.emit == Stage::Asm && request.from != Stage::Asm) {
      auto text = generateCode(*llvmModule, target, true);
      NYSJIT_RETURN_IF_ERROR(text);
      return emitted(*text);
    }
    if (request.emit == Stage::Asm)
      return emitted(request.fromText);
    std::string object;
    status = timed("object", [&] { return generateObject(object); });
    NYSJIT_RETURN_IF_ERROR(status);
    NYSJIT_RETURN_IF_ERROR(measureKernels(object));
    if (request.emit == Stage::Object)
      return emitted(object);
    // And the object a shared object that the runtime can open.
    status = timed("link", [&]() -> Status {
      auto linked = linkSharedObject(object);
      NYSJIT_RETURN_IF_ERROR(linked);
      output.binary = std::move(*linked);
      return {};
    });
    NYSJIT_RETURN_IF_ERROR(status);
    return std::move(output);
  }

private:
  template <typename Body> Status timed(const char *name, Body body) {
    const auto start = std::chrono::steady_clock::now();
    Status status = body();
    output.stageMs.push_back({name, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count()});
    return status;
  }

  Result<CompileOutput> emitted(std::string text) {
    output.emitted = std::move(text);
    return std::move(output);
  }

  Error failed(const std::string &where) {
    return Error::plain(ErrorKind::CompileFailed, where, where + ": " + (diagnostics.text.empty() ? "failed" : diagnostics.text));
  }

  Status buildTiles() {
    module = mlir::ModuleOp::create(mlir::FileLineColLoc::get(&context, layoutName(request.spec.layout), 0, 0));
    Program::Module holder{*module};
    Program program(holder, request.spec, request.config, target.name);
    try {
      buildTemplate(program);
    } catch (const TemplateError &error) {
      return Error::plain(ErrorKind::CompileFailed, "template", error.message);
    }
    auto plan = program.finish();
    NYSJIT_RETURN_IF_ERROR(plan);
    output.plan = std::move(*plan);
    if (mlir::failed(mlir::verify(*module)) || mlir::failed(simplify(*module)))
      return failed("tile");
    return {};
  }

  Status parseModule(const char *where) {
    mlir::OwningOpRef<mlir::ModuleOp> parsed = mlir::parseSourceString<mlir::ModuleOp>(request.fromText, &context);
    if (!parsed)
      return Error::mismatch(ErrorKind::InvalidFile, where, "MLIR of that stage", diagnostics.text);
    module = std::move(parsed);
    return {};
  }

  Status lower() {
    std::map<std::string, int64_t> scratch;
    if (mlir::failed(cpu::lowerTiles(*module, target.shape, scratch)))
      return failed("lowered");
    for (PlanKernel &kernel : output.plan.kernels)
      kernel.scratchBytes = scratch[kernel.name];
    return {};
  }

  Result<CompileOutput> emitPlan() {
    if (request.from == Stage::Plan) {
      auto plan = planFromJson(request.fromText);
      NYSJIT_RETURN_IF_ERROR(plan);
      output.plan = std::move(*plan);
    }
    return emitted(planToJson(output.plan));
  }

  Status translate() {
    if (request.from == Stage::Llvm) {
      llvm::SMDiagnostic diagnostic;
      llvmModule = llvm::parseIR(llvm::MemoryBufferRef(request.fromText, "FILE"), diagnostic, llvmContext);
      if (llvmModule) {
        llvmModule->setModuleIdentifier(llvmModule->getSourceFileName());
        return {};
      }
      std::string text;
      llvm::raw_string_ostream stream(text);
      diagnostic.print(nullptr, stream, false);
      return Error::mismatch(ErrorKind::InvalidFile, "--from llvm", "LLVM IR", text);
    }
    if (mlir::failed(lowerToLlvm(*module)))
      return failed("llvm");
    llvmModule = translateToLlvm(*module, llvmContext);
    if (!llvmModule)
      return failed("llvm");
    return optimise(*llvmModule, target);
  }

  Status generateObject(std::string &object) {
    if (request.from == Stage::Object) {
      object = request.fromText;
      return {};
    }
    auto made = request.from == Stage::Asm ? assemble(request.fromText, target) : generateCode(*llvmModule, target, false);
    NYSJIT_RETURN_IF_ERROR(made);
    object = std::move(*made);
    return {};
  }

  Status measureKernels(const std::string &object) {
    auto file = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "FILE"));
    if (!file)
      return Error::mismatch(ErrorKind::InvalidFile, "object", "an ELF object", llvm::toString(file.takeError()));
    for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols()) {
      auto name = symbol.getName();
      if (!name) {
        llvm::consumeError(name.takeError());
        continue;
      }
      for (const PlanKernel &kernel : output.plan.kernels)
        if (*name == kernel.name)
          output.kernelBytes.push_back({kernel.name, static_cast<int64_t>(symbol.getSize())});
    }
    if (output.kernelBytes.size() != output.plan.kernels.size())
      return Error::mismatch(ErrorKind::InvalidFile, "object", "every kernel of the plan", std::to_string(output.kernelBytes.size()) + " of them");
    return {};
  }

  const CompileRequest &request;
  TargetInfo target;
  CompileOutput output;
  mlir::MLIRContext context;
  DiagnosticText diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule;
};

} // namespace

std::optional<Stage> stageFromName(const std::string &name) {
  for (const auto &[stage, text] : stageNames)
    if (name == text)
      return stage;
  return std::nullopt;
}

const char *stageName(Stage stage) {
  for (const auto &[known, text] : stageNames)
    if (known == stage)
      return text;
  return "unknown";
}

Result<CompileOutput> compile(const CompileRequest &request) { return Compilation(request).run(); }

} // namespace nysjit
