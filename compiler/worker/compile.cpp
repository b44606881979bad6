// What CPU and GPU compilations share: stage names, the template, text of stages in and out.
#include "compiler/worker/compilation.h"

#include "compiler/tile/builder/emitter.h"
#include "compiler/worker/pipeline.h"
#include "templates/templates.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Support/SourceMgr.h"

#include <array>
#include <sstream>

namespace nysjit {

static constexpr std::array<std::pair<Stage, const char *>, 8> stageNames = {
    {{Stage::Tile, "tile"},
     {Stage::Lowered, "lowered"},
     {Stage::Llvm, "llvm"},
     {Stage::Asm, "asm"},
     {Stage::Object, "object"},
     {Stage::Ptx, "ptx"},
     {Stage::Cubin, "cubin"},
     {Stage::Plan, "plan"}}};

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

bool hasStage(const Target &target, Stage stage) {
  const bool isCpuOnly = stage == Stage::Asm || stage == Stage::Object;
  const bool isGpuOnly = stage == Stage::Ptx || stage == Stage::Cubin;
  return target.isCuda() ? !isCpuOnly : !isGpuOnly;
}

DiagnosticText::DiagnosticText(mlir::MLIRContext &context)
    : handler(&context, [this](mlir::Diagnostic &diagnostic) {
        llvm::raw_string_ostream stream(text);
        if (!text.empty())
          stream << "; ";
        diagnostic.getLocation()->print(stream);
        stream << ": " << diagnostic;
        return mlir::success();
      }) {}

std::string printed(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::OpPrintingFlags flags;
  module.print(stream, flags.enableDebugInfo(true, false));
  return text + "\n";
}

Compilation::Compilation(const CompileRequest &request)
    : request(request), context(mlir::MLIRContext::Threading::DISABLED), diagnostics(context) {
  loadDialects(context);
}

Result<CompileOutput> Compilation::emitted(std::string text) {
  output.emitted = std::move(text);
  return std::move(output);
}

Result<CompileOutput> Compilation::emitLlvm() {
  // The order of uses steers code generation: with it, --from llvm gives the bytes of the direct
  // way.
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvmModule->print(stream, nullptr, /*ShouldPreserveUseListOrder=*/true);
  // That of inline assembly steers nothing, and LLVM prints it in a way that it does not read.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("uselistorder ptr asm "))
      output.emitted += line + "\n";
  return std::move(output);
}

Result<CompileOutput> Compilation::emitPlan() {
  if (request.from == Stage::Plan) {
    auto plan = planFromJson(request.fromText);
    NYSJIT_RETURN_IF_ERROR(plan);
    output.plan = std::move(*plan);
  }
  return emitted(planToJson(output.plan));
}

Error Compilation::failed(const std::string &where) {
  return Error::plain(ErrorKind::CompileFailed, where,
                      where + ": " + (diagnostics.text.empty() ? "failed" : diagnostics.text));
}

Status Compilation::buildTiles(const KernelConfig &defaults) {
  module = mlir::ModuleOp::create(
      mlir::FileLineColLoc::get(&context, layoutName(request.spec.layout), 0, 0));
  Program::Module holder{*module};
  Program program(holder, request.spec, request.config, targetName(request.target), defaults);
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

Status Compilation::parseModule(const char *where) {
  mlir::OwningOpRef<mlir::ModuleOp> parsed =
      mlir::parseSourceString<mlir::ModuleOp>(request.fromText, &context);
  if (!parsed)
    return Error::mismatch(ErrorKind::InvalidFile, where, "MLIR of that stage", diagnostics.text);
  module = std::move(parsed);
  return {};
}

Status Compilation::parseLlvm() {
  llvm::SMDiagnostic diagnostic;
  llvmModule =
      llvm::parseIR(llvm::MemoryBufferRef(request.fromText, "FILE"), diagnostic, llvmContext);
  if (llvmModule) {
    llvmModule->setModuleIdentifier(llvmModule->getSourceFileName());
    return {};
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  diagnostic.print(nullptr, stream, false);
  return Error::mismatch(ErrorKind::InvalidFile, "--from llvm", "LLVM IR", text);
}

/// The target has the stages of the request, and they are in order.
static Status checkStages(const CompileRequest &request) {
  for (const auto &[key, stage] : {std::pair("--emit", request.emit), {"--from", request.from}})
    if (stage && !hasStage(request.target, *stage))
      return Error::mismatch(ErrorKind::InvalidArgument, key,
                             request.target.isCuda()
                                 ? "tile, lowered, llvm, ptx, cubin or plan for a cuda target"
                                 : "tile, lowered, llvm, asm, object or plan for a cpu target",
                             std::string("'") + stageName(*stage) + "'");
  // The plan is a branch of its own.
  const bool isPlan = request.from == Stage::Plan;
  if (request.from && request.emit &&
      ((isPlan && request.emit != Stage::Plan) || (!isPlan && *request.emit < *request.from)))
    return Error::mismatch(ErrorKind::InvalidArgument, "--emit",
                           std::string("a stage that follows ") + stageName(*request.from),
                           stageName(*request.emit));
  return {};
}

Result<CompileOutput> compile(const CompileRequest &request) {
  NYSJIT_RETURN_IF_ERROR(checkStages(request));
  Compilation compilation(request);
  return request.target.isCuda() ? compileForGpu(compilation) : compileForCpu(compilation);
}

} // namespace nysjit
