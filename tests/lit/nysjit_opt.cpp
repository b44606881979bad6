// nysjit-opt: mlir-opt with the tile dialect, its rewrites and both lowerings, for tests of IR.
//   nysjit-opt --tile-to-cpu[=lanes=8] FILE.mlir
//   nysjit-opt --tile-to-gpu[="dtype=bf16 stages=2"] FILE.mlir
// and one flag a rewrite, named as its file is: --cpu-transpose-scores, ..., --expand-masks.
#include "compiler/lowering/cpu/lower_tiles.h"
#include "compiler/lowering/cpu/rewrite/rewrites.h"
#include "compiler/lowering/expand_masks.h"
#include "compiler/lowering/gpu/lower_tiles.h"
#include "compiler/tile/dialect/Tile.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace {
struct TileToCpu : PassWrapper<TileToCpu, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileToCpu)
  TileToCpu() = default;
  TileToCpu(const TileToCpu &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "tile-to-cpu"; }
  StringRef getDescription() const override {
    return "tile kernels to loops over vectors and scratch memory";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect, scf::SCFDialect, vector::VectorDialect>();
  }
  void runOnOperation() override {
    std::map<std::string, int64_t> scratch;
    const nysjit::cpu::VectorShape shape =
        lanes == 16 ? nysjit::cpu::VectorShape{16, 16} : nysjit::cpu::VectorShape{8, 8};
    if (failed(nysjit::cpu::lowerTiles(getOperation(), shape, scratch)))
      return signalPassFailure();
    for (const auto &[name, bytes] : scratch)
      getOperation().lookupSymbol(name)->setAttr("scratch_bytes",
                                                 Builder(&getContext()).getI64IntegerAttr(bytes));
  }
  Option<int> lanes{*this, "lanes", llvm::cl::desc("float32 in a vector register: 8 or 16"),
                    llvm::cl::init(16)};
};

struct TileToGpu : PassWrapper<TileToGpu, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileToGpu)
  TileToGpu() = default;
  TileToGpu(const TileToGpu &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "tile-to-gpu"; }
  StringRef getDescription() const override {
    return "tile kernels to registers, shared memory and warp instructions";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect, scf::SCFDialect>();
  }
  void runOnOperation() override {
    Builder builder(&getContext());
    auto optionsOf = [&](const std::string &) {
      nysjit::gpu::KernelOptions options;
      options.input = dtype == "bf16"  ? Type(builder.getBF16Type())
                      : dtype == "f16" ? Type(builder.getF16Type())
                                       : Type(builder.getF32Type());
      options.numStages = stages;
      options.sharedLimit = shared;
      return options;
    };
    std::vector<nysjit::gpu::LoweredKernel> lowered;
    if (failed(nysjit::gpu::lowerTiles(getOperation(), optionsOf, lowered)))
      return signalPassFailure();
    for (const nysjit::gpu::LoweredKernel &kernel : lowered) {
      Operation *op = getOperation().lookupSymbol(kernel.name);
      op->setAttr("threads", builder.getI64IntegerAttr(kernel.threads));
      op->setAttr("shared_bytes", builder.getI64IntegerAttr(kernel.sharedBytes));
    }
  }
  Option<std::string> dtype{*this, "dtype", llvm::cl::desc("f32, f16 or bf16"),
                            llvm::cl::init("bf16")};
  Option<int> stages{*this, "stages", llvm::cl::desc("stages of copies under way"),
                     llvm::cl::init(2)};
  Option<int> shared{*this, "shared", llvm::cl::desc("bytes of shared memory a block may have"),
                     llvm::cl::init(166912)};
};

/// One rewrite of tile IR by itself.
struct Rewrite : PassWrapper<Rewrite, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Rewrite)
  using Function = void (*)(func::FuncOp);
  Rewrite(StringRef flag, Function function) : flag(flag), function(function) {}
  StringRef getArgument() const override { return flag; }
  StringRef getDescription() const override { return "one rewrite of tile IR by itself"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<nysjit::tile::TileDialect, arith::ArithDialect, tensor::TensorDialect>();
  }
  void runOnOperation() override { getOperation().walk(function); }
  StringRef flag;
  Function function;
};

void registerRewrite(StringRef flag, Rewrite::Function function) {
  registerPass([=] { return std::make_unique<Rewrite>(flag, function); });
}

void registerRewrites() {
  constexpr int64_t lanes = 16;
  registerRewrite("expand-masks", [](func::FuncOp f) { (void)nysjit::expandMasks(f); });
  registerRewrite("cpu-transpose-column-sums", nysjit::cpu::transposeColumnSums);
  registerRewrite("cpu-transpose-scores",
                  [](func::FuncOp f) { nysjit::cpu::transposeScores(f, lanes); });
  registerRewrite("cpu-hoist-transposes", nysjit::cpu::hoistTransposes);
  registerRewrite("cpu-skip-unit-scales", nysjit::cpu::skipUnitScales);
  registerRewrite("cpu-materialize-operands", nysjit::cpu::materializeOperands);
  registerRewrite("cpu-hoist-scalars",
                  [](func::FuncOp f) { nysjit::cpu::hoistScalars(f.getBody().front()); });
}
} // namespace

int main(int argc, char **argv) {
  PassRegistration<TileToCpu>();
  PassRegistration<TileToGpu>();
  registerRewrites();
  registerCanonicalizerPass();
  registerCSEPass();
  DialectRegistry registry;
  registry.insert<nysjit::tile::TileDialect, arith::ArithDialect, cf::ControlFlowDialect,
                  func::FuncDialect, LLVM::LLVMDialect, math::MathDialect, scf::SCFDialect,
                  tensor::TensorDialect, vector::VectorDialect>();
  return asMainReturnCode(MlirOptMain(argc, argv, "nysjit tile IR\n", registry));
}
