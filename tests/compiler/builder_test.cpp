// The template builder: what folds, what becomes a kernel parameter and what is an error; masks and
// the loops they split are in builder_mask_test.cpp.
#include "tests/compiler/builder_fixture.h"

#include <nlohmann/json.hpp>

using namespace nysjit;

namespace {

TEST_F(Builder, ConstantsAndHostExpressionsFold) {
  const Scalar n(Expression::symbol("n"));
  EXPECT_EQ((Scalar(7) * 3 + 1).constant(), 22);
  EXPECT_EQ(ceilDiv(Scalar(7), 2).constant(), 4);
  EXPECT_EQ(ceilDiv(n, 64).expression().toJson().dump(), R"(["ceildiv","n",64])");
  EXPECT_EQ((n * 1 + 0).expression(), n.expression());
}

TEST_F(Builder, ComparisonsAndSelectsOfConstantsFold) {
  const Scalar yes(1);
  const Scalar no(0);
  EXPECT_EQ((Scalar(3) == 3).constant(), 1);
  EXPECT_EQ((Scalar(3) == 4).constant(), 0);
  EXPECT_EQ((yes & no).constant(), 0);
  EXPECT_EQ((yes | no).constant(), 1);
  EXPECT_EQ((!Scalar(7)).constant(), 0);
  EXPECT_EQ((!no).constant(), 1);
  EXPECT_EQ(select(yes, 5, 6).constant(), 5);
  EXPECT_EQ(select(no, 5, 6).constant(), 6);
}

TEST_F(Builder, ComparisonsAndSelectsOfSymbolsAreExpressions) {
  const Scalar n(Expression::symbol("n"));
  auto json = [](const Scalar &s) { return s.expression().toJson().dump(); };
  EXPECT_EQ(json(n == 4), R"(["==","n",4])");
  EXPECT_EQ(json(!(n < 4)), R"(["not",["<","n",4]])");
  EXPECT_EQ(json((n < 4) | (n == 8)), R"(["or",["<","n",4],["==","n",8]])");
  EXPECT_EQ(json((n < 4) & 1), R"(["<","n",4])");
  EXPECT_EQ(json(select(n == 4, n, 9)), R"(["select",["==","n",4],"n",9])");
}

TEST_F(Builder, ComparisonsAndSelectsInAKernelAreEmitted) {
  build([&](Kernel &k, const TensorRef &) {
    const Scalar cell = k.cell();
    (void)select((cell == 3) | !(cell < 7), cell, 5);
  });
  EXPECT_EQ(count("arith.cmpi eq"), 2); // == and !
  EXPECT_EQ(count("arith.cmpi slt"), 1);
  EXPECT_EQ(count("arith.ori"), 1);
  EXPECT_EQ(count("arith.select"), 1);
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
  Program program(holder, spec, {}, "cpu:native", chooser);
  const TensorRef q = program.tensor("q");
  program.kernel("k", 1, [&](Kernel &k) { k.load(k.view(q, {0, 0}), 0, 16); });
  const Plan plan = *program.finish();
  bool found = false;
  for (const PlanParameter &parameter : plan.kernels[0].parameters)
    if (parameter.name == "q_stride_2") {
      found = true;
      EXPECT_EQ(parameter.type, ParameterType::I64);
    }
  EXPECT_TRUE(found);
}

TEST_F(Builder, AnOptionalOutputIsStoredToOnlyIfItIsGiven) {
  const Plan plan = build([](Kernel &k, const TensorRef &q) {
    TensorRef optional = q;
    optional.presenceSymbol = "lse_is_given";
    const Tile rows = k.load(k.view(q, {}), 0, 16);
    k.store(rows, k.view(q, {}), 0);
    k.store(rows, k.view(optional, {}), 0);
  });
  EXPECT_EQ(count("tile.store"), 2);
  EXPECT_EQ(count("scf.if"), 1);
  const std::string all = text();
  EXPECT_GT(all.rfind("tile.store"), all.find("scf.if"));
  EXPECT_LT(all.find("tile.store"), all.find("scf.if"));
  int parameters = 0;
  for (const PlanParameter &parameter : plan.kernels[0].parameters)
    parameters += parameter.value.toJson() == "lse_is_given";
  EXPECT_EQ(parameters, 1);
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

TEST_F(Builder, ACarriedTileReadInAnEndedBodyIsAnError) {
  const std::string message = errorOf([&](Kernel &k, const TensorRef &) {
    Tile sum = k.fill(16, 0.0);
    Tile inside;
    k.forRange({0, 4}, 1, {&sum}, [&](Scalar) {
      sum = sum + 1.0;
      inside = sum;
    });
    (void)(sum + 1.0); // what the loop carried out
    (void)(inside + 1.0);
  });
  EXPECT_NE(message.find("made in the loop body at tests/compiler/builder_test.cpp:"),
            std::string::npos)
      << message;
}

TEST_F(Builder, AWhileLoopCarriesTilesWithTheirTypes) {
  build([&](Kernel &k, const TensorRef &) {
    Tile sum = rows(k.fill(16, 0.0));
    Tile turns = k.number(0.0);
    k.whileLoop(
        {&sum, &turns}, [&] { return k.toInteger(turns) < 3; },
        [&] {
          turns = turns + 1.0;
          sum = sum + 2.0;
        });
    EXPECT_EQ(sum.axis(), Axis::Rows);
    EXPECT_EQ(sum.rows(), 16);
    EXPECT_EQ(turns.rank(), 0);
    (void)(k.fill(16, 8, 0) + sum);
  });
  EXPECT_EQ(count("scf.while"), 1);
  EXPECT_EQ(count("scf.condition"), 1);
  EXPECT_NE(text().find("(tensor<16xf32>, f32) -> (tensor<16xf32>, f32)"), std::string::npos);
}

TEST_F(Builder, AWhileLoopThatChangesACarriedTileIsAnError) {
  const std::string message = errorOf([&](Kernel &k, const TensorRef &) {
    Tile sum = k.fill(16, 0.0);
    k.whileLoop({&sum}, [&] { return k.cell(); }, [&] { sum = k.fill(8, 0.0); });
  });
  EXPECT_NE(message.find("expected a carried tile to keep its shape and type"), std::string::npos)
      << message;
}

TEST_F(Builder, AGatherWantsRowsAndOneNumberForEach) {
  auto errorOfGather = [&](bool isVector, int rank, double number) {
    return errorOf([&](Kernel &k, const TensorRef &q) {
      const View view = isVector ? k.view(q, {Scalar(0)}) : k.view(q, {});
      const Tile index = number ? k.fill(16, number) : k.iota(16);
      k.gather(view, rank == 2 ? rows(k.iota(16)) + cols(k.iota(16)) : index);
    });
  };
  EXPECT_EQ(errorOfGather(false, 1, 0), "");
  EXPECT_EQ(errorOfGather(true, 1, 0), "");
  EXPECT_NE(errorOfGather(false, 2, 0).find("by a 1-D tile of whole numbers"), std::string::npos);
  EXPECT_NE(errorOfGather(false, 1, 0.5).find("of whole numbers"), std::string::npos);
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

/// A target that takes half the columns of wide tiles.
struct LikesNarrowTiles : BlockChooser {
  BlockConfig preferred(const std::string &, const KernelFacts &facts,
                        const BlockConfig &defaults) const override {
    const bool isNarrow = facts.areManyTiles && facts.headDim == 64;
    return isNarrow ? BlockConfig{.blockN = *defaults.blockN / 2} : BlockConfig();
  }
};

TEST_F(Builder, ColumnsBesideTheBlocksAreTheTargetsThenTheTemplates) {
  const LikesNarrowTiles target;
  spec.headDim = 64;
  Program program(holder, spec, {}, "cpu:native", target);
  EXPECT_EQ(program.columns(16, {.areManyTiles = true}), 8);
  EXPECT_EQ(program.columns(16, {}), 16);
  Program plain(holder, spec, {}, "cpu:native", chooser);
  EXPECT_EQ(plain.columns(16, {.areManyTiles = true}), 16);
}

/// A target that has no split.
struct LacksSplit : BlockChooser {
  std::span<const BlockMember> lackingKeys(const KernelFacts &) const override {
    static constexpr BlockMember keys[] = {&BlockConfig::split};
    return keys;
  }
};

TEST_F(Builder, AKeyThatTheTargetLacksNoKernelHas) {
  KernelConfig config;
  config.kernels["k"] = {.split = 512};
  const LacksSplit target;
  Program program(holder, spec, config, "cpu:native", target);
  EXPECT_EQ(program.blocks("k", {.blockM = 64, .split = 0}), (BlockConfig{.blockM = 64}));
  program.kernel("k", Scalar(1), [](Kernel &) {});
  EXPECT_EQ(program.finish().error().where, "k.split");
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
