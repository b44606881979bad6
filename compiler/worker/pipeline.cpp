// Upstream passes only; see cpu/ for ours.
#include "compiler/worker/pipeline.h"

#include "compiler/tile/dialect/Tile.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "runtime/base/environment.h"

using namespace mlir;
namespace nysjit {

void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<tile::TileDialect, arith::ArithDialect, cf::ControlFlowDialect,
                      func::FuncDialect, LLVM::LLVMDialect, NVVM::NVVMDialect, math::MathDialect,
                      scf::SCFDialect, tensor::TensorDialect, vector::VectorDialect>();
}

static Result<std::optional<int64_t>> verifySetting() {
  return environmentNumber("NYSJIT_VERIFY_IR", 0, 1);
}

Status checkSettings() {
  Result<std::optional<int64_t>> asked = verifySetting();
  return asked ? Status() : Status(asked.takeError());
}

bool verifiesIr() {
#ifdef NDEBUG
  static const bool isAsked = [] {
    const Result<std::optional<int64_t>> asked = verifySetting();
    return asked && asked->value_or(0) == 1;
  }();
  return isAsked;
#else
  return true;
#endif
}

LogicalResult verified(ModuleOp module) { return verifiesIr() ? verify(module) : success(); }

LogicalResult simplify(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.enableVerifier(verifiesIr());
  OpPassManager &functions = passes.nest<func::FuncOp>();
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  return passes.run(module);
}

LogicalResult lowerToLlvm(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.enableVerifier(verifiesIr());
  passes.addNestedPass<func::FuncOp>(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());
  ConvertVectorToLLVMPassOptions vectors;
  vectors.reassociateFPReductions = true; // a row's sum by lanes, in one fixed order
  passes.addPass(createConvertVectorToLLVMPass(vectors));
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  return passes.run(module);
}

LogicalResult lowerToNvvm(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.enableVerifier(verifiesIr());
  passes.addNestedPass<func::FuncOp>(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  // .loc lines and nothing else of a debugger's: the assembler optimises as without.
  LLVM::DIScopeForLLVMFuncOpPassOptions lines;
  lines.emissionKind = LLVM::DIEmissionKind::DebugDirectivesOnly;
  passes.addPass(LLVM::createDIScopeForLLVMFuncOpPass(lines));
  if (failed(passes.run(module)))
    return failure();
  module.walk([](LLVM::LLVMFuncOp kernel) {
    auto threads = dyn_cast_or_null<IntegerAttr>(kernel->removeAttr("tile.threads"));
    if (!threads)
      return;
    Builder b(kernel.getContext());
    kernel->setAttr("nvvm.kernel", b.getUnitAttr());
    kernel->setAttr("nvvm.reqntid",
                    b.getDenseI32ArrayAttr({static_cast<int32_t>(threads.getInt()), 1, 1}));
    kernel->setAttr("nvvm.minctasm", b.getI32IntegerAttr(1)); // registers before a second block
  });
  return success();
}

std::unique_ptr<llvm::Module> translateToLlvm(ModuleOp module, llvm::LLVMContext &context) {
  return translateModuleToLLVMIR(module, context, "nysjit");
}

} // namespace nysjit
