// One compilation under way: what its stages share, and the stages as data. Internal to worker/.
#pragma once
#include "compiler/lowering/gpu/lower_tiles.h"
#include "compiler/tile/builder/block_sizes.h"
#include "compiler/worker/compile.h"
#include "compiler/worker/run_ptxas.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/IR/Module.h"

#include <chrono>
#include <memory>
#include <span>

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
  /// Looks the target up.
  Status findTarget();
  Error failed(const std::string &where);
  /// The template writes tile IR and the plan.
  Status writeTiles(const BlockChooser &chooser);
  /// The plan's kernel of this name, or null.
  const PlanKernel *planKernel(const std::string &name) const;

  const CompileRequest &request;
  // What the compiler knows of the target: of one kind or the other.
  TargetInfo cpu;
  GpuInfo gpu;
  CompileOutput output;
  mlir::MLIRContext context;
  DiagnosticText diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule;
  // What the later stages of a CPU make.
  std::string assembly;
  std::string object;
  // And of a GPU.
  std::vector<gpu::LoweredKernel> lowered;
  std::vector<KernelResources> resources; // as ptxas counts them
};

/// One stage (its name is runtime/spec/stage.h's): what makes it of those before, what shows it for
/// --emit and what takes the text of --from in its place.
struct StageRow {
  Stage stage;
  Status (*run)(Compilation &); // null: what is before has made it
  Result<std::string> (*print)(Compilation &);
  Status (*read)(Compilation &);
  // null: every compilation passes it
  bool (*isPassed)(const CompileRequest &) = nullptr;
  // before it reads, too: the text does not hold all that it makes
  bool alwaysRuns = false;
};

/// The stages of a kind of target in their order, and what follows the last.
struct StageTable {
  std::span<const StageRow> rows;
  Status (*finish)(Compilation &);
};
extern const StageTable cpuStages;
extern const StageTable gpuStages;

// Rows that the tables share.
Result<std::string> printModule(Compilation &c);
Result<std::string> printLlvm(Compilation &c);
Result<std::string> printPlan(Compilation &c);
Status readTiles(Compilation &c);
Status readLowered(Compilation &c);
Status readLlvm(Compilation &c);
Status readPlan(Compilation &c);
bool isPlanAsked(const CompileRequest &request);

} // namespace nysjit
