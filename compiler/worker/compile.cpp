// What CPU and GPU compilations share: stage names, the template, text of stages in and out.
#include "compiler/worker/compilation.h"

#include "compiler/tile/builder/emitter.h"
#include "compiler/worker/pipeline.h"
#include "templates/templates.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Support/SourceMgr.h"

#include <algorithm>
#include <sstream>

namespace nysjit {

//===- Stages by name -------------------------------------------------------------------------===//

static const StageTable &stageTable(const Target &target) {
  return target.isCuda() ? gpuStages : cpuStages;
}

/// "tile, lowered, ... or plan": the branch last.
static std::string stageNames(TargetKind kind) {
  std::string names;
  for (const Stage stage : stagesOf(kind))
    names += (names.empty() ? "" : ", ") + std::string(stageName(stage));
  return names + " or " + stageName(Stage::Plan);
}

//===- One compilation ------------------------------------------------------------------------===//

DiagnosticText::DiagnosticText(mlir::MLIRContext &context)
    : handler(&context, [this](mlir::Diagnostic &diagnostic) {
        llvm::raw_string_ostream stream(text);
        if (!text.empty())
          stream << "; ";
        diagnostic.getLocation()->print(stream);
        stream << ": " << diagnostic;
        return mlir::success();
      }) {}

Compilation::Compilation(const CompileRequest &request)
    : request(request), context(mlir::MLIRContext::Threading::DISABLED), diagnostics(context) {
  loadDialects(context);
}

Error Compilation::failed(const std::string &where) {
  return Error::plain(ErrorKind::CompileFailed, where,
                      where + ": " + (diagnostics.text.empty() ? "failed" : diagnostics.text));
}

const PlanKernel *Compilation::planKernel(const std::string &name) const {
  const std::vector<PlanKernel> &kernels = output.plan.kernels;
  auto found = std::ranges::find(kernels, name, &PlanKernel::name);
  return found == kernels.end() ? nullptr : &*found;
}

Status Compilation::writeTiles(const BlockChooser &chooser) {
  module = mlir::ModuleOp::create(
      mlir::FileLineColLoc::get(&context, layoutName(request.spec.layout), 0, 0));
  Program::Module holder{*module};
  Program program(holder, request.spec, request.config, targetName(request.target), chooser);
  try {
    buildTemplate(program);
  } catch (const TemplateError &error) {
    return Error::plain(ErrorKind::CompileFailed, "template", error.message);
  }
  auto plan = program.finish();
  NYSJIT_RETURN_IF_ERROR(plan);
  output.plan = std::move(*plan);
  output.spaces = program.spaces();
  if (mlir::failed(mlir::verify(*module)) || mlir::failed(simplify(*module)))
    return failed("tile");
  return {};
}

//===- Stages that all targets have -----------------------------------------------------------===//

Result<std::string> printModule(Compilation &c) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::OpPrintingFlags flags;
  c.module->print(stream, flags.enableDebugInfo(true, false));
  return text + "\n";
}

Result<std::string> printLlvm(Compilation &c) {
  // The order of uses steers code generation: with it, --from llvm gives the bytes of the direct
  // way.
  std::string text;
  llvm::raw_string_ostream stream(text);
  c.llvmModule->print(stream, nullptr, /*ShouldPreserveUseListOrder=*/true);
  // That of inline assembly steers nothing, and LLVM prints it in a way that it does not read.
  std::string kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("uselistorder ptr asm "))
      kept += line + "\n";
  return kept;
}

Result<std::string> printPlan(Compilation &c) { return planToJson(c.output.plan); }

static Status readModule(Compilation &c, const char *where) {
  mlir::OwningOpRef<mlir::ModuleOp> parsed =
      mlir::parseSourceString<mlir::ModuleOp>(c.request.fromText, &c.context);
  if (!parsed)
    return Error::mismatch(ErrorKind::InvalidFile, where, "MLIR of that stage", c.diagnostics.text);
  c.module = std::move(parsed);
  return {};
}

Status readTiles(Compilation &c) { return readModule(c, "--from tile"); }

Status readLowered(Compilation &c) {
  // The plan, which leaves the way here, is made of the template's tiles.
  return c.request.emit == Stage::Plan ? Status() : readModule(c, "--from lowered");
}

Status readLlvm(Compilation &c) {
  llvm::SMDiagnostic diagnostic;
  c.llvmModule =
      llvm::parseIR(llvm::MemoryBufferRef(c.request.fromText, "FILE"), diagnostic, c.llvmContext);
  if (c.llvmModule) {
    c.llvmModule->setModuleIdentifier(c.llvmModule->getSourceFileName());
    return {};
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  diagnostic.print(nullptr, stream, false);
  return Error::mismatch(ErrorKind::InvalidFile, "--from llvm", "LLVM IR", text);
}

Status readPlan(Compilation &c) {
  auto plan = planFromJson(c.request.fromText);
  NYSJIT_RETURN_IF_ERROR(plan);
  c.output.plan = std::move(*plan);
  return {};
}

bool isPlanAsked(const CompileRequest &request) { return request.emit == Stage::Plan; }

//===- The way through them -------------------------------------------------------------------===//

Status Compilation::findTarget() {
  if (request.target.isCuda()) {
    Result<GpuInfo> info = gpuInfo(request.target);
    NYSJIT_RETURN_IF_ERROR(info);
    gpu = *info;
    return {};
  }
  Result<TargetInfo> info = targetInfo(request.target);
  NYSJIT_RETURN_IF_ERROR(info);
  cpu = std::move(*info);
  return {};
}

/// The target has the stages of the request, and they are in order.
static Status checkStages(const CompileRequest &request) {
  for (const auto &[key, stage] : {std::pair("--emit", request.emit), {"--from", request.from}})
    if (stage && !hasStage(request.target, *stage))
      return Error::mismatch(ErrorKind::InvalidArgument, key,
                             stageNames(request.target.kind) + " for a " +
                                 (request.target.isCuda() ? "cuda" : "cpu") + " target",
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

/// Runs a stage, or takes the text given in its place.
static Status pass(const StageRow &row, Compilation &c) {
  const bool isGiven = c.request.from == row.stage;
  if (row.run && (!isGiven || row.alwaysRuns))
    NYSJIT_RETURN_IF_ERROR(c.timed(stageName(row.stage), [&] { return row.run(c); }));
  else if (row.run)
    return c.timed(stageName(row.stage), [&] { return row.read(c); });
  return isGiven ? row.read(c) : Status();
}

Result<CompileOutput> compile(const CompileRequest &request) {
  NYSJIT_RETURN_IF_ERROR(checkSettings());
  NYSJIT_RETURN_IF_ERROR(checkStages(request));
  Compilation c(request);
  NYSJIT_RETURN_IF_ERROR(c.findTarget());
  const StageTable &table = stageTable(request.target);
  for (const StageRow &row : table.rows) {
    if (row.isPassed && !row.isPassed(request))
      continue;
    NYSJIT_RETURN_IF_ERROR(pass(row, c));
    if (request.emit != row.stage)
      continue;
    auto text = row.print(c);
    NYSJIT_RETURN_IF_ERROR(text);
    c.output.emitted = std::move(*text);
    return std::move(c.output);
  }
  NYSJIT_RETURN_IF_ERROR(table.finish(c));
  return std::move(c.output);
}

} // namespace nysjit
