// The template builder: what folds, what becomes a kernel parameter, what is an error, and how
// loops are split.
#include "compiler/tile/builder/emitter.h"
#include "compiler/worker/pipeline.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace nysjit;

namespace {

class Builder : public testing::Test {
protected:
  Builder() : context(mlir::MLIRContext::Threading::DISABLED) {
    loadDialects(context);
    module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    holder.op = *module;
    spec.layout = Layout::ExactCausal;
    spec.headDim = 16;
  }
  /// A program with q [n, 16] and one kernel.
  Plan build(const std::function<void(Kernel &, const TensorRef &)> &body) {
    Program program(holder, spec, {}, "cpu:native", chooser);
    const TensorRef q = program.input("q", {Expression::symbol("n"), Expression(16)});
    program.kernel("k", program.symbol("n"), [&](Kernel &k) { body(k, q); });
    auto plan = program.finish();
    EXPECT_TRUE(plan.ok());
    return *plan;
  }
  std::string text() {
    std::string result;
    llvm::raw_string_ostream stream(result);
    module->print(stream);
    return result;
  }
  int count(const std::string &what) {
    int found = 0;
    const std::string all = text();
    for (size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1))
      ++found;
    return found;
  }
  std::string errorOf(const std::function<void(Kernel &, const TensorRef &)> &body) {
    try {
      build(body);
    } catch (const TemplateError &error) {
      return error.message;
    }
    return "";
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Program::Module holder;
  BlockChooser chooser;
  KernelSpec spec;
};

TEST_F(Builder, ConstantsAndHostExpressionsFold) {
  const Scalar n(Expression::symbol("n"));
  EXPECT_EQ((Scalar(7) * 3 + 1).constant(), 22);
  EXPECT_EQ(ceilDiv(Scalar(7), 2).constant(), 4);
  EXPECT_EQ(ceilDiv(n, 64).expression().toJson().dump(), R"(["ceildiv","n",64])");
  EXPECT_EQ((n * 1 + 0).expression(), n.expression());
}

TEST_F(Builder, AHostExpressionBecomesOneParameter) {
  const Plan plan = build([&](Kernel &k, const TensorRef &) {
    const Scalar tiles = ceilDiv(Scalar(Expression::symbol("n")), 64);
    for (int i = 0; i < 2; ++i)
      (void)(tiles - k.cell());
  });
  ASSERT_EQ(plan.kernels[0].parameters.size(), 1u);
  EXPECT_EQ(plan.kernels[0].parameters[0].value.toJson().dump(), R"(["ceildiv","n",64])");
  EXPECT_EQ(plan.kernels[0].parameters[0].type, ParameterType::I32);
}

TEST_F(Builder, StridesAndOffsetsAre64Bit) {
  const Plan plan = build([&](Kernel &k, const TensorRef &q) { k.load(k.view(q, {}), 0, 16); });
  bool found = false;
  for (const PlanParameter &parameter : plan.kernels[0].parameters)
    if (parameter.name == "q_stride_0") {
      found = true;
      EXPECT_EQ(parameter.type, ParameterType::I64);
    }
  EXPECT_TRUE(found);
}

TEST_F(Builder, ATileLeftInALoopIsAnErrorWithBothLines) {
  const std::string message = errorOf([&](Kernel &k, const TensorRef &q) {
    Tile last;
    k.forRange({0, 4}, 1, {}, [&](Scalar i) { last = k.load(k.view(q, {}), i, 16) * 2.0; });
    (void)(last + 1.0);
  });
  EXPECT_NE(message.find("builder_test.cpp"), std::string::npos) << message;
  EXPECT_NE(message.find("made in the loop body at tests/compiler/builder_test.cpp:"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("carry it through the loop"), std::string::npos) << message;
}

TEST_F(Builder, ShapesThatDoNotFitAreErrors) {
  EXPECT_NE(errorOf([](Kernel &k, const TensorRef &) {
              (void)(k.fill(16, 16, 0) + k.fill(16, 32, 0));
            }).find("found 16x16 and 16x32"),
            std::string::npos);
  EXPECT_NE(errorOf([](Kernel &k, const TensorRef &) {
              (void)(k.fill(16, 16, 0) + k.fill(16, 0.0));
            }).find("rows(x) or cols(x)"),
            std::string::npos);
  EXPECT_NE(errorOf([](Kernel &k, const TensorRef &) {
              (void)dot(k.fill(16, 32, 0), k.fill(16, 32, 0));
            }).find("[K, N]"),
            std::string::npos);
}

TEST_F(Builder, OperationsCarryTheTemplatesLine) {
  build([](Kernel &k, const TensorRef &q) { (void)(k.load(k.view(q, {}), 0, 16) * 2.0); });
  bool found = false;
  module->walk([&](mlir::Operation *op) {
    if (op->getName().getStringRef() != "arith.mulf")
      return;
    auto loc = mlir::dyn_cast<mlir::FileLineColLoc>(op->getLoc());
    ASSERT_TRUE(loc);
    EXPECT_EQ(loc.getFilename().str(), "tests/compiler/builder_test.cpp");
    found = true;
  });
  EXPECT_TRUE(found);
}

TEST_F(Builder, TilesSplitIntoMaskedAndUnmaskedLoops) {
  int masked = 0;
  int unmasked = 0;
  auto body = [&](Scalar, bool isMasked) { ++(isMasked ? masked : unmasked); };
  build([&](Kernel &k, const TensorRef &) {
    k.forTiles({0, Scalar(Expression::symbol("n"))}, {0, k.cell()}, 16, {}, body);
  });
  EXPECT_EQ(masked, 1); // starts unmasked: full, partial
  EXPECT_EQ(unmasked, 1);
  build([&](Kernel &k, const TensorRef &) {
    k.forTiles({0, Scalar(Expression::symbol("n"))}, {k.cell(), 99}, 16, {}, body);
  });
  EXPECT_EQ(masked, 3); // partial, full, partial
  build([&](Kernel &k, const TensorRef &) {
    k.forTiles({0, Scalar(Expression::symbol("n"))}, {0, 0}, 16, {}, body);
  });
  EXPECT_EQ(masked, 4); // all masked
  EXPECT_EQ(unmasked, 2);
}

TEST_F(Builder, WholeTilesAreReadWithoutTests) {
  build([](Kernel &k, const TensorRef &q) {
    const View view = k.view(q, {});
    k.forTiles({0, view.length}, {0, view.length}, 16, {}, [&](Scalar t, bool) {
      (void)k.load(view, t, 16);
      (void)k.load(view, t, 8);                     // not the tile
      (void)k.load(view, ScalarOperand(t) + 1, 16); // not its start
    });
    (void)k.load(view, 0, 16);
  });
  std::vector<bool> inBounds;
  module->walk([&](mlir::Operation *op) {
    if (op->getName().getStringRef() == "tile.load")
      inBounds.push_back(op->hasAttr("in_bounds"));
  });
  EXPECT_EQ(inBounds, (std::vector<bool>{true, false, false, false, false, false, false}));
}

TEST_F(Builder, AConfigForAnUnknownKernelNamesTheKernels) {
  KernelConfig config;
  config.kernels["no_such_kernel"].blockM = 64;
  Program program(holder, spec, config, "cpu:native", chooser);
  program.kernel("k", Scalar(1), [](Kernel &) {});
  auto plan = program.finish();
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().where, "no_such_kernel");
  EXPECT_EQ(plan.error().expected, "a kernel of exact_causal: k");
}

/// A target that likes 32 rows, and has warps.
struct Likes32Rows : BlockChooser {
  BlockConfig preferred(const std::string &, const KernelFacts &facts,
                        const BlockConfig &) const override {
    BlockConfig sizes;
    sizes.blockM = 32;
    sizes.blockN = facts.isSquare ? 16 : 128; // not for a kernel that has none
    return sizes;
  }
  std::span<const BlockMember> targetKeys() const override {
    static constexpr BlockMember keys[] = {&BlockConfig::numWarps};
    return keys;
  }
};

TEST_F(Builder, BlockSizesAreTheCallersThenTheTargetsThenTheTemplates) {
  KernelConfig config;
  config.kernels["given"] = {.blockM = 128, .numWarps = 2, .split = 512};
  const Likes32Rows target;
  Program program(holder, spec, config, "cpu:native", target);
  EXPECT_EQ(program.blocks("given", {.blockM = 64, .blockN = 64}),
            (BlockConfig{.blockM = 128, .blockN = 128, .numWarps = 2}));
  EXPECT_EQ(program.blocks("square", {.blockM = 64}), (BlockConfig{.blockM = 32}));
  EXPECT_EQ(program.blocks("split", {.split = 0}), (BlockConfig{.split = 0}));
  Program plain(holder, spec, config, "cpu:native", chooser);
  EXPECT_EQ(plain.blocks("given", {.blockM = 64}), (BlockConfig{.blockM = 128}));
  EXPECT_EQ(plain.blocks("square", {.blockM = 64}), (BlockConfig{.blockM = 64}));
}

TEST_F(Builder, AKernelTellsItsSpace) {
  const Likes32Rows target;
  Program program(holder, spec, {}, "cpu:native", target);
  program.blocks("k", {.blockM = 64, .split = 0});
  program.kernel("k", Scalar(1), [](Kernel &) {});
  program.kernel("none", Scalar(1), [](Kernel &) {});
  const std::vector<BlockSpace> &spaces = program.spaces();
  ASSERT_EQ(spaces.size(), 2u);
  ASSERT_EQ(spaces[0].keys.size(), 3u);
  EXPECT_EQ(spaces[0].keys[0].name, "block_m");
  EXPECT_EQ(spaces[0].keys[0].values, (std::vector<int>{16, 32, 64, 128, 256}));
  EXPECT_EQ(spaces[0].keys[1].values, (std::vector<int>{1, 2, 4, 8}));
  EXPECT_EQ(spaces[0].keys[2].values[1], 256); // after 0
  EXPECT_TRUE(spaces[0].contains({.blockM = 256, .numWarps = 8, .split = 0}));
  EXPECT_FALSE(spaces[0].contains({.blockM = 48}));
  EXPECT_FALSE(spaces[0].contains({.blockN = 64}));
  EXPECT_EQ(spaces[1].keys.size(), 1u);
}

} // namespace
