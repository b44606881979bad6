// One compilation under way: what its stages share. Internal to driver/.
#pragma once
#include "compiler/worker/compile.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/IR/Module.h"

#include <chrono>
#include <memory>

namespace nysjit {

/// Appends "file:line: error: text" of every diagnostic while it lives.
class DiagnosticText {
public:
  explicit DiagnosticText(mlir::MLIRContext &context);
  std::string text;

private:
  mlir::ScopedDiagnosticHandler handler;
};

struct Compilation {
  explicit Compilation(const CompileRequest &request);

  template <typename Body> Status timed(const char *name, Body body) {
    const auto start = std::chrono::steady_clock::now();
    Status status = body();
    output.stageMs.push_back(
        {name, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                   .count()});
    return status;
  }
  Result<CompileOutput> emitted(std::string text);
  Result<CompileOutput> emitLlvm();
  Result<CompileOutput> emitPlan();
  Error failed(const std::string &where);
  /// The template writes tile IR and the plan, with `defaults` for block sizes that the config
  /// leaves open.
  Status buildTiles(const KernelConfig &defaults = {});
  /// Replaces the module by the text given with --from.
  Status parseModule(const char *where);
  /// The LLVM module from --from llvm.
  Status parseLlvm();

  const CompileRequest &request;
  CompileOutput output;
  mlir::MLIRContext context;
  DiagnosticText diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule;
};

std::string printed(mlir::ModuleOp module);

Result<CompileOutput> compileForCpu(Compilation &compilation);
Result<CompileOutput> compileForGpu(Compilation &compilation);

} // namespace nysjit
